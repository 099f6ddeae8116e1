// The compiled binary, run for a test: its own state directory, its own port, ended with the test.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../ports.ts";

export const binary = join(import.meta.dir, "../../dist/treewarden");

/** Why tests of the real kernel cannot run here; undefined if they can. In CI they always run. */
export function whyNot(): string | undefined {
  if (process.env.CI === "true" || process.geteuid?.() === 0) return undefined;
  return "only root may watch every process";
}

export type JsonRecord = Readonly<Record<string, unknown>>;

/** Those that have not been ended: what a wait in vain is explained by. */
const living = new Set<Running>();
/** Records that such an explanation shows, the last ones. */
const SHOWN = 40;
/** Of a record, what is worth a line; and of the metrics. */
const TOLD = [
  "timestamp",
  "event.name",
  "tree.exact",
  "process.command_args",
  "policy.outcome",
  "policy.matched_rules",
  "sensor.loss.reason",
  "sensor.loss.count",
  "error.message",
] as const;
const EXPLAINING =
  /^treewarden_(?:events|events_lost|execs_unattributed|queue_dropped|resyncs|last_event_timestamp|info)\w*[{ ]/;

/** `treewarden run`, with what it says on standard output as records. */
export class Running implements AsyncDisposable {
  readonly binary = binary;
  readonly folder: string;
  readonly records: JsonRecord[] = [];
  /** Lines that were no JSON: none, unless a reporter was killed. */
  brokenLines = 0;
  readonly port: number;
  readonly pid: number;
  /** What all processes of the run have on their command lines. */
  runId = "";
  private readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  private readonly reading: Promise<void>;
  private errors = "";

  private constructor(
    flags: readonly string[],
    environment: Record<string, string>,
    folder: string | undefined,
    inside: readonly string[],
  ) {
    this.folder = folder ?? newFolder();
    this.port = freePort();
    const listen = flags.includes("--listen") ? [] : ["--listen", `127.0.0.1:${this.port}`];
    const state = flags.includes("--state-dir") ? [] : ["--state-dir", join(this.folder, "state")];
    this.process = Bun.spawn([...inside, binary, "run", "--output", "json", ...listen, ...state, ...flags], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { PATH: process.env.PATH ?? "", ...environment },
    });
    this.pid = this.process.pid;
    living.add(this);
    this.reading = Promise.all([this.readRecords(), this.readErrors()]).then(() => undefined);
  }

  /**
   * Started, and ready: its first scan is done. `folder`: one of an earlier run, whose state is gone on with. `inside`:
   * what starts it with exec(2), in a namespace say.
   */
  static async start(
    flags: readonly string[] = [],
    environment: Record<string, string> = {},
    folder?: string,
    inside: readonly string[] = [],
  ): Promise<Running> {
    const running = new Running(flags, environment, folder, inside);
    try {
      await running.seen((record) => record["event.name"] === "warden.started");
      [running.runId = ""] =
        /tw-[0-9a-f-]+/.exec(readFileSync(`/proc/${running.pid}/cmdline`, "latin1")) ?? [];
    } catch (error) {
      // Nobody has it yet who could end it.
      await running[Symbol.asyncDispose]();
      throw error;
    }
    return running;
  }

  get stderr(): string {
    return this.errors;
  }

  /** The first record that fits, waited for up to `ms`. Throws with what was said instead. */
  async seen(fits: (record: JsonRecord) => boolean, ms = 10_000): Promise<JsonRecord> {
    const end = performance.now() + ms;
    for (;;) {
      const found = this.records.find(fits);
      if (found !== undefined) return found;
      if (this.process.exitCode !== null)
        throw new Error(`it ended with ${this.process.exitCode}: ${this.errors}`);
      if (performance.now() > end) {
        throw new Error(`not seen in ${ms} ms; ${await this.account()}`);
      }
      await Bun.sleep(10);
    }
  }

  async metrics(): Promise<Metrics> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/metrics`, {
      signal: AbortSignal.timeout(5_000),
    });
    return new Metrics(await answer.text());
  }

  async health(): Promise<{ readonly status: number; readonly body: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/healthz`);
    return { status: answer.status, body: await answer.text() };
  }

  /** Its last records, what it counted, and what it complained of: why something may not have been told. */
  async account(): Promise<string> {
    const names = new Map<unknown, number>();
    for (const { "event.name": name } of this.records) names.set(name, (names.get(name) ?? 0) + 1);
    const counted = [...names].map(([name, count]) => `${count} ${name}`).join(", ");
    const last = this.records
      .slice(-SHOWN)
      .map((record) => JSON.stringify(Object.fromEntries(TOLD.map((name) => [name, record[name]]))));
    const metrics = await this.metrics().then(
      ({ text }) => text.split("\n").filter((line) => EXPLAINING.test(line)),
      (error) => [`no metrics: ${error}`],
    );
    return [
      `treewarden ${this.pid} (ended with ${this.process.exitCode}), now ${new Date().toISOString()}: records: ${counted}; broken lines: ${this.brokenLines}`,
      ...last,
      ...metrics,
      `standard error: ${this.errors}`,
    ].join("\n  ");
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  /** Ends it by SIGTERM; its exit code. */
  async stop(): Promise<number> {
    this.process.kill("SIGTERM");
    await this.process.exited;
    await this.reading;
    return this.process.exitCode ?? -1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.race([this.stop(), Bun.sleep(5_000)]);
    this.process.kill("SIGKILL");
    living.delete(this);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async readRecords(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.process.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.read(line);
    }
  }

  /** A reporter that was killed leaves half a line, and the next one begins a new one. */
  private read(line: string): void {
    if (line === "") return;
    try {
      this.records.push(JSON.parse(line));
    } catch {
      this.brokenLines += 1;
    }
  }

  private async readErrors(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.process.stderr) this.errors += decoder.decode(chunk, { stream: true });
  }
}

/** Prometheus text, by name and labels. */
export class Metrics {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** The value of the series whose labels include all of `labels`; undefined if there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    return this.all(name, labels)[0];
  }

  /** The values of every such series. */
  all(name: string, labels: Readonly<Record<string, string>> = {}): number[] {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const values: number[] = [];
    for (const line of this.text.split("\n")) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (wanted.every((part) => line.includes(part)))
        values.push(Number(line.slice(line.lastIndexOf(" ") + 1)));
    }
    return values;
  }

  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.all(name, labels).reduce((total, value) => total + value, 0);
  }
}

let folders = 0;

/** A folder whose name does not look random: trees in tests are to be read. */
export function newFolder(): string {
  folders += 1;
  const folder = join(tmpdir(), `treewarden-test-${process.pid}-${folders}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o755 });
  return folder;
}

/** Until `done` says yes; throws after `ms`, with what every treewarden that runs has to say. */
export async function until(
  what: string,
  done: () => boolean | Promise<boolean>,
  ms = 10_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await done())) {
    if (performance.now() > end) {
      const accounts = await Promise.all([...living].map((one) => one.account()));
      throw new Error([`${what}: not within ${ms} ms`, ...accounts].join("\n"));
    }
    await Bun.sleep(20);
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
