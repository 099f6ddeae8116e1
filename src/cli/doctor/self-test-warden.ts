// The treewarden that `doctor --self-test` runs: a complete one, with configuration, policy and state of its own.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Config } from "../../config/config.ts";
import { ownArguments } from "../../linux/spawn.ts";
import type { LiveSource } from "../../vocabulary/sensors.ts";

export type ReadRecord = Readonly<Record<string, unknown>>;

export interface TestedWarden {
  readonly source: LiveSource;
  /** Of this test alone: its files are below it. Its name is in no other path. */
  readonly folder: string;
  /** The policy in force. */
  readonly policy: object;
  /** The rules that may kill. */
  readonly armed: readonly string[];
  /** The host's configuration, for what decides whether treewarden can run at all. */
  readonly host: Pick<Config, "hardening" | "reporter_user">;
  /** Ends it. */
  readonly interrupted: AbortSignal;
}

/** Whether the process ends within this number of milliseconds. */
export async function endsWithin(child: Bun.Subprocess, milliseconds: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), milliseconds);
  try {
    return await Promise.race([child.exited.then(() => true), late.promise]);
  } finally {
    // A timer that is left keeps this process from ending.
    clearTimeout(timer);
  }
}

/** How long one of treewarden's processes may take to end in order; the supervisor needs at most 2 s. */
const END_MS = 15_000;
const LOOK_MS = 10;
/** Characters that are shown of the messages: the last ones, which say why it ended. */
const SHOWN_ERRORS = 300;

/** A running warden and what it has reported about the test's own programs and about itself. */
export class SelfTestWarden implements AsyncDisposable {
  readonly records: ReadRecord[] = [];
  private readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  private readonly reading: Promise<unknown>;
  private errors = "";

  /** Starts it; `wait` for its first record. */
  constructor({ source, folder, policy, armed, host, interrupted }: TestedWarden) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { mode: 0o755 });
    const [policyFile, config] = [join(folder, "self-test.json"), join(folder, "config.yaml")];
    writeFileSync(policyFile, JSON.stringify(policy));
    // JSON is YAML.
    const settings = {
      source,
      policies: [policyFile],
      enforcement: "kill",
      armed,
      armed_since_hours: 0,
      events: "all",
      hardening: host.hardening,
      reporter_user: host.reporter_user,
      state_directory: join(folder, "state"),
      metrics: { listen: "off", trees: "off" },
    };
    writeFileSync(config, JSON.stringify(settings));
    const flags = ["run", "--config", config, "--all", "--output", "json"];
    this.child = Bun.spawn(["/proc/self/exe", ...ownArguments(), ...flags], {
      argv0: "treewarden",
      stdio: ["ignore", "pipe", "pipe"],
      cwd: "/",
      // Variables of the caller could send the records of this test to the host's collector.
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    });
    interrupted.addEventListener("abort", () => this.child.kill("SIGTERM"));
    this.reading = Promise.all([this.readRecords(folder), this.readErrors()]);
  }

  /**
   * The first record that `fits`, waited for up to `milliseconds`; undefined if none came or treewarden has ended.
   */
  async wait(fits: (record: ReadRecord) => boolean, milliseconds: number): Promise<ReadRecord | undefined> {
    const end = performance.now() + milliseconds;
    for (;;) {
      const record = this.records.find(fits);
      if (record !== undefined) return record;
      if (this.child.exitCode !== null || performance.now() > end) return undefined;
      await Bun.sleep(LOOK_MS);
    }
  }

  /** What it has written to standard error, as one line. */
  get messages(): string {
    const text = this.errors.trim().replaceAll(/\s+/g, " ");
    // Cut before a word.
    return text.length <= SHOWN_ERRORS ? text : text.slice(-SHOWN_ERRORS).replace(/^\S* /, "... ");
  }

  /** Ends it in order; its exit code, or undefined if it had to be killed. */
  async stop(): Promise<number | undefined> {
    this.child.kill("SIGTERM");
    if (!(await endsWithin(this.child, END_MS))) return undefined;
    await this.reading;
    return this.child.exitCode ?? undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null) await this.stop();
    this.child.kill("SIGKILL");
  }

  /** Keeps what concerns the programs in `folder`, and no other process of the host. */
  private async readRecords(folder: string): Promise<void> {
    for await (const line of linesOf(this.child.stdout)) {
      if (!line.includes('"process.pid"') || line.includes(`/${basename(folder)}/`))
        this.records.push(JSON.parse(line));
    }
  }

  private async readErrors(): Promise<void> {
    for await (const line of linesOf(this.child.stderr)) this.errors += `${line}\n`;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "");
  }
  if (rest !== "") yield rest;
}
