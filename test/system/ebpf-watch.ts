// The eBPF sensor, and a program of our own that it watches.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import { type EbpfOptions, type EbpfSensor, openEbpfSensor } from "../../src/sensor/ebpf/sensor.ts";
import type { ExecEvent, ProcessEvent, Sensor } from "../../src/sensor/event.ts";
import { SensorUnavailable } from "../../src/sensor/unavailable.ts";

/** Why the tests cannot run here; undefined if they can. */
export function whyNot(): string | undefined {
  if (Bun.which("gcc") === null) return "no gcc to compile what is watched";
  try {
    openEbpfSensor()[Symbol.dispose]();
    return undefined;
  } catch (error) {
    if (error instanceof SensorUnavailable) return error.message;
    throw error;
  }
}

/** Everything that waits: a single drain leaves some for the next where a busy machine has made a megabyte of it. */
export function drainAll(sensor: Sensor, sink: (event: ProcessEvent) => void): void {
  using poll = new Poll(1);
  poll.add(sensor.fd, 0, EPOLLIN);
  do sensor.drain(sink);
  while (poll.wait(0) > 0);
}

/** A folder with the compiled actor in it. */
export class Stage implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "tw-ebpf-"));
  readonly actor = join(this.folder, "actor");

  constructor() {
    const source = join(import.meta.dir, "ebpf-actor.c");
    const built = Bun.spawnSync(["gcc", "-O1", "-static", "-pthread", "-o", this.actor, source]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
  }

  [Symbol.dispose](): void {
    // Not rmSync: that takes seconds for folders some thousands deep.
    Bun.spawnSync(["rm", "-rf", this.folder]);
  }
}

export class Watch implements Disposable {
  readonly sensor: EbpfSensor;
  readonly events: ProcessEvent[] = [];

  constructor(options?: EbpfOptions) {
    this.sensor = openEbpfSensor(options);
  }

  /** Everything that has happened so far, in order. */
  drain(): readonly ProcessEvent[] {
    drainAll(this.sensor, (event) => this.events.push(event));
    return this.events;
  }

  /** Events of the process `pid`, in order. */
  of(pid: number): readonly ProcessEvent[] {
    return this.drain().filter((event) => "pid" in event && event.pid === pid);
  }

  /** Kinds of the events of `pid`, in order. */
  kinds(pid: number): readonly string[] {
    return this.of(pid).map(({ kind }) => kind);
  }

  execs(pid: number): readonly ExecEvent[] {
    return this.of(pid).filter((event) => event.kind === "exec");
  }

  /** The last program of `pid`. */
  exec(pid: number): ExecEvent {
    const exec = this.execs(pid).at(-1);
    if (exec === undefined) throw new Error(`no exec of ${pid}`);
    return exec;
  }

  /** Runs a command to its end; its pid and exit code. */
  run(command: string[], options: { cwd?: string } = {}): { pid: number; exitCode: number } {
    const { pid, exitCode, stderr } = Bun.spawnSync(command, {
      ...options,
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (exitCode === 98 || exitCode === 99) throw new Error(stderr.toString());
    return { pid, exitCode };
  }

  [Symbol.dispose](): void {
    this.sensor[Symbol.dispose]();
  }
}

/** A command that ends up as `actor hold`: alive while it is held. */
export class Held implements AsyncDisposable {
  readonly pid: number;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "pipe">) {
    this.child = child;
    this.pid = child.pid;
  }

  /** Gives back when the actor says that it runs. */
  static async start(command: string[], options: { cwd?: string } = {}): Promise<Held> {
    const child = Bun.spawn(command, { ...options, stdio: ["pipe", "pipe", "pipe"] });
    const reader = child.stdout.getReader();
    const { done } = await reader.read();
    reader.releaseLock();
    if (done) throw new Error(`${command.join(" ")}: ${await new Response(child.stderr).text()}`);
    return new Held(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin.end();
    await this.child.exited;
  }
}
