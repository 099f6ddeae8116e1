// A real reporter process on one end of the wire, and on the other a warden that says what the test wants.
import {
  closeSync,
  constants,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  type ReadStream,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Config, defaultConfig } from "../../src/config/config.ts";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { socketPair } from "../../src/linux/socketpair.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { JournalChain } from "../../src/report/journal-chain.ts";
import { Outbox } from "../../src/report/outbox.ts";
import { timestamp } from "../../src/report/stamp.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import { readOtlpSettings } from "../../src/reporter/read-otlp-settings.ts";
import type { ReporterOptions } from "../../src/reporter/reporter-options.ts";
import { freePort } from "../ports.ts";

export const RUN = "run-1";
const TURN_MS = 2;

/** The warden's side, as the warden's loop drives it. */
export class FakeWarden implements Disposable {
  readonly totals = new Totals();
  readonly trees = new TreeTotals(this.totals);
  readonly outbox: Outbox;
  health: { alive: boolean; reason: string; degraded: string[] } = { alive: true, reason: "", degraded: [] };
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(fd: number, generation: number) {
    this.outbox = new Outbox({
      fd,
      totals: this.totals,
      chain: new JournalChain(new Uint8Array(32), { run: RUN, generation }, undefined),
      hello: () => ({
        type: "hello",
        run: RUN,
        generation,
        version: "0",
        started: timestamp(Date.now() * 1e6),
        source: "netlink",
        enforcement: "observe",
        policies: [],
      }),
    });
    this.timer = setInterval(() => this.turn(), TURN_MS);
  }

  turn(): void {
    this.outbox.receive(() => this.health);
    this.outbox.flush();
  }

  /** As kill -9 would: nothing is said any more. */
  [Symbol.dispose](): void {
    clearInterval(this.timer);
  }
}

export class Rig implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "treewarden-report-"));
  readonly port = freePort();
  readonly journal = join(this.folder, "report/journal.sqlite");
  warden: FakeWarden;
  stderr = "";
  stdout = "";
  private readonly ends: readonly [number, number];
  private readonly options: ReporterOptions;
  private readonly environment: Readonly<Record<string, string>>;
  private paused = false;
  private child: Bun.Subprocess<"ignore", number, "pipe"> | undefined;
  /** A FIFO: unlike a pipe of Bun.spawn, nobody reads it ahead of the test. */
  private readonly output: { readonly path: string; readonly fd: number };
  private outputReader: ReadStream | undefined;

  constructor(
    change: { readonly config?: Partial<Config>; readonly output?: ReporterOptions["output"] } = {},
    environment: Readonly<Record<string, string>> = {},
  ) {
    mkdirSync(join(this.folder, "report"));
    const config = { ...defaultConfig(), ...change.config };
    this.options = {
      run: RUN,
      output: change.output ?? "none",
      all: false,
      colour: false,
      config: {
        ...config,
        state_directory: this.folder,
        metrics: { ...config.metrics, listen: `127.0.0.1:${this.port}` },
        ...change.config,
      },
      otlp: readOtlpSettings(config.otlp, environment).settings,
      endpointSecurity: null,
    };
    this.environment = environment;
    const path = join(this.folder, "stdout");
    const made = Bun.spawnSync(["mkfifo", path]);
    if (made.exitCode !== 0) throw new Error(`mkfifo: ${made.stderr.toString()}`);
    this.output = { path, fd: openSync(path, constants.O_RDWR) };
    this.ends = socketPair(4 << 20);
    this.warden = new FakeWarden(this.ends[0], 1);
  }

  startReporter(): void {
    const child = Bun.spawn(
      [
        ...[process.execPath, join(import.meta.dir, "reporter-child.ts"), JSON.stringify(this.options)],
        ...(this.child === undefined ? [] : ["after-another"]),
      ],
      {
        stdio: ["ignore", this.output.fd, "pipe", this.ends[1]],
        env: { PATH: process.env.PATH ?? "", ...this.environment },
      },
    );
    this.child = child;
    if (!this.paused) this.resumeOutput();
    void this.collect(child.stderr, (text) => {
      this.stderr += text;
    });
  }

  /** Nobody reads the standard output of a reporter that is started after this. */
  pauseOutput(): void {
    this.paused = true;
  }

  resumeOutput(): void {
    this.paused = false;
    if (this.child === undefined || this.outputReader !== undefined) return;
    this.outputReader = createReadStream(this.output.path, { encoding: "utf8" });
    this.outputReader.on("data", (text) => {
      this.stdout += String(text);
    });
  }

  signalReporter(signal: "SIGSTOP" | "SIGCONT"): void {
    this.child?.kill(signal);
  }

  async killReporter(): Promise<void> {
    this.child?.kill("SIGKILL");
    await this.child?.exited;
  }

  /** As a process does that has got a copy of the reporter's descriptor. */
  shutDownLink(): void {
    const script = "import socket; socket.socket(fileno=3).shutdown(socket.SHUT_RDWR)";
    Bun.spawnSync(["/usr/bin/python3", "-c", script], {
      stdio: ["ignore", "inherit", "inherit", this.ends[1]],
    });
  }

  /** The reporter's exit code. */
  async ended(): Promise<number | undefined> {
    return await this.child?.exited;
  }

  /** A new warden of the same run, which knows nothing of the one before. */
  restartWarden(generation: number): void {
    this.warden[Symbol.dispose]();
    this.warden = new FakeWarden(this.ends[0], generation);
  }

  async stopReporter(): Promise<number> {
    this.child?.kill("SIGTERM");
    return (await this.child?.exited) ?? -1;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The text of a path, once the endpoint is there. */
  async get(path: string, init?: RequestInit): Promise<Response> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await fetch(this.url + path, { ...init, keepalive: false });
      } catch (error) {
        if (tries > 200) throw new Error(`${String(error)}; ${this.stderr}`);
        await Bun.sleep(25);
      }
    }
  }

  /** Value of one sample, NaN if it is not there. */
  async sample(name: string): Promise<number> {
    const text = await (await this.get("/metrics")).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`${name} `));
    if (lines.length > 1) throw new Error(`twice: ${lines.join("; ")}`);
    return Number(lines[0]?.slice(name.length + 1) ?? Number.NaN);
  }

  private async collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) add(decoder.decode(bytes, { stream: true }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killReporter();
    this.warden[Symbol.dispose]();
    this.outputReader?.destroy();
    closeSync(this.output.fd);
    for (const end of this.ends) closeDescriptor(end);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms = 10_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await Bun.sleep(10);
  }
}

export function verdict(uid: string, more: EventRecord = {}): EventRecord {
  return {
    timestamp: timestamp(Date.now() * 1e6),
    "event.name": "policy.verdict",
    "log.record.uid": uid,
    "policy.action": "kill",
    "policy.outcome": "would_kill",
    "policy.severity": "critical",
    "tree.path": "/nginx/base",
    "process.pid": 4711,
    ...more,
  };
}
