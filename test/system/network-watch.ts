// The eBPF sensor watching the network, and a program of our own that uses it as it is told.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EbpfOptions } from "../../src/sensor/ebpf/sensor.ts";
import type { NetworkEvent, ProcessEvent } from "../../src/sensor/event.ts";
import type { KindFilter, NetworkFilters } from "../../src/sensor/network/filters.ts";
import type { NetworkKind } from "../../src/vocabulary/event-kinds.ts";
import { Watch } from "./ebpf-watch.ts";

/** Leaves nothing out. */
export const everything: KindFilter = {
  networks: [],
  ports: { mode: "only", ranges: [] },
  transports: ["tcp", "udp"],
  ignoreRandomPorts: false,
  hostNamespaceOnly: false,
};

export const noFilters: NetworkFilters = { connect: everything, send: everything, listen: everything };

export class NetworkWatch extends Watch {
  constructor(kinds: readonly NetworkKind[] = ["connect", "send", "listen"], options?: EbpfOptions) {
    super(options);
    this.sensor.watchNetwork({ kinds, filters: noFilters });
  }

  /** What of the network the process did, in order. */
  network(pid: number): readonly NetworkEvent[] {
    return this.of(pid).filter((event) => isNetworkEvent(event));
  }

  /** The ends of the process's connections and sessions, once `count` are reported; at the latest after 2 seconds. */
  async closes(pid: number, count: number) {
    const until = Date.now() + 2000;
    for (;;) {
      const closes = this.of(pid).filter((event) => event.kind === "close");
      if (closes.length >= count || Date.now() > until) return closes;
      await Bun.sleep(5);
    }
  }

  /** Everything that happened until `done`, read while it happens, as a warden does. */
  async during(done: Promise<unknown>): Promise<readonly ProcessEvent[]> {
    let isOver = false;
    const end = done.then(() => {
      isOver = true;
    });
    while (!isOver) {
      this.drain();
      await Promise.race([end, Bun.sleep(5)]);
    }
    return this.drain();
  }
}

function isNetworkEvent(event: ProcessEvent): event is NetworkEvent {
  return event.kind === "connect" || event.kind === "send" || event.kind === "listen";
}

/** Where the actor is compiled. */
export class ActorFolder implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "tw-network-"));
  readonly actor = this.compile("network-actor");

  compile(name: string): string {
    const path = join(this.folder, name);
    const source = join(import.meta.dir, `${name}.c`);
    const built = Bun.spawnSync(["gcc", "-O1", "-static", "-pthread", "-o", path, source]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Answer {
  /** The process that did it. */
  readonly pid: number;
  /** 0: it worked. */
  readonly errno: number;
}

/** A running actor; see network-actor.c for its commands. */
export class Actor implements AsyncDisposable {
  readonly pid: number;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly chunks: AsyncIterator<Uint8Array>;
  private text = "";

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.child = child;
    this.pid = child.pid;
    this.chunks = child.stdout.values();
  }

  static async start(...command: readonly string[]): Promise<Actor> {
    const child = Bun.spawn([...command], { stdio: ["pipe", "pipe", "inherit"] });
    const actor = new Actor(child);
    await actor.answer();
    return actor;
  }

  async do(command: string): Promise<Answer> {
    this.child.stdin.write(`${command}\n`);
    this.child.stdin.flush();
    return this.answer();
  }

  private async answer(): Promise<Answer> {
    while (!this.text.includes("\n")) {
      const { done, value } = await this.chunks.next();
      if (done === true) throw new Error("the actor has ended");
      this.text += new TextDecoder().decode(value);
    }
    const end = this.text.indexOf("\n");
    const [pid = 0, errno = 0] = this.text.slice(0, end).split(" ").map(Number);
    this.text = this.text.slice(end + 1);
    return { pid, errno };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin.end();
    await this.child.exited;
  }
}
