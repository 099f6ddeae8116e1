// The eBPF sensor with prevention, and a program that starts others in every way, as a user of the test alone.
import { chownSync, closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { carrierNames } from "../../src/fingerprint/carriers.ts";
import type { ObjectKeeper } from "../../src/sensor/object-keeper.ts";
import type {
  ClosedProcess,
  ClosedSet,
  ClosedSets,
  FileIdentity,
  Prevention,
} from "../../src/sensor/prevention/closed-set.ts";
import type { PreventionOptions } from "../../src/sensor/prevention/options.ts";
import { Watch } from "./ebpf-watch.ts";

/** A user that no other process runs as. */
export const TEST_USER = 61_018;

/** A time that every file of the tests is older than. */
export const LATER = BigInt(Date.now() + 3_600_000) * 1_000_000n;

/** A process is not closed. */
export const openSets: ClosedSets = { own: 0, child: 0 };

/** What a closed process that may start nothing else is closed by. */
export const nothingElse: ClosedSet = {
  ofUser: false,
  carriersDie: false,
  identifiedAt: LATER,
  countedAs: 0,
  exceptions: [],
};

export class PreventionWatch extends Watch {
  readonly prevention: Prevention;
  private lastSet = 0;

  /** `state`: what the kernel has of an earlier one stays in force. */
  constructor(
    options: Partial<PreventionOptions> = {},
    keeper?: ObjectKeeper,
    state: "new" | "as it was left" = "new",
  ) {
    // The tests end more different programs than a policy should.
    super({ prevention: { carriers: carrierNames(), maxPerMinute: 1e6, ...options }, keeper });
    const { prevention, preventionProblem } = this.sensor;
    if (prevention === undefined) throw new Error(preventionProblem);
    this.prevention = prevention;
    if (state === "as it was left") return;
    prevention.setEpoch(1);
    prevention.enforceEpoch();
    prevention.setActing(true);
  }

  /** The number of a new set. */
  define(set: Partial<ClosedSet> = {}): number {
    this.lastSet += 1;
    this.prevention.define(this.lastSet, { ...nothingElse, countedAs: this.lastSet, ...set });
    return this.lastSet;
  }

  /** The process as it was judged at its last exec. */
  judged({ pid }: { readonly pid: number }): ClosedProcess {
    const exec = this.exec(pid);
    const { startTicks = 0, uid } = exec.facts;
    return { pid, startTicks, execId: exec.execId, uid, payers: [] };
  }

  /** Closes what the process and its children execute. `judged`: what else it was judged as. */
  close(
    process: { readonly pid: number },
    sets: ClosedSets | number,
    judged: Partial<Pick<ClosedProcess, "uid" | "payers">> = {},
  ): void {
    const both = typeof sets === "number" ? { own: sets, child: sets } : sets;
    if (!this.prevention.assign({ ...this.judged(process), ...judged }, both)) throw new Error("no room");
  }

  /** What the kernel reads of a file. */
  identityOf(path: string): FileIdentity {
    const fd = openSync(path, "r");
    try {
      const identity = this.prevention.identify(process.pid, [fd]).get(fd);
      if (identity === undefined) throw new Error(`${path} has no identity`);
      return identity;
    } finally {
      closeSync(fd);
    }
  }
}

/** A folder of the test's user with the compiled programs in it. */
export class PreventionFolder implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "tw-prevention-"));
  readonly actor = this.compile("prevention-actor", "-O1", "-pthread");
  /** A program of root's, which writes a byte at once. */
  readonly program = this.compile("prevention-program", "-nostdlib");
  readonly output = join(this.folder, "output");

  constructor() {
    chownSync(this.folder, TEST_USER, TEST_USER);
    writeFileSync(this.output, "");
    chownSync(this.output, TEST_USER, TEST_USER);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  compile(name: string, ...options: string[]): string {
    const path = this.path(name);
    const source = join(import.meta.dir, `${name}.c`);
    const built = Bun.spawnSync(["gcc", "-static", ...options, "-o", path, source]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    return path;
  }

  /** A copy of the program, of this owner. */
  copy(name: string, owner = 0): string {
    const path = this.path(name);
    const copied = Bun.spawnSync(["cp", this.program, path]);
    if (copied.exitCode !== 0) throw new Error(copied.stderr.toString());
    chownSync(path, owner, owner);
    return path;
  }

  /** How many bytes the started programs have written. */
  get written(): number {
    return statSync(this.output).size;
  }

  /** Starts the actor with further arguments. */
  start(user: number = TEST_USER, ...more: readonly string[]): Promise<Starter> {
    return Starter.start(user, this.actor, this.output, ...more);
  }

  /** The arguments of an actor that replaces itself by another one. */
  get again(): readonly [path: string, argument: string] {
    return [this.actor, this.output];
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Outcome {
  /** Ended by SIGKILL. */
  readonly killed: number;
  /** Ended by itself. */
  readonly ended: number;
  /** The exec failed. */
  readonly failed: number;
}

/** A running actor; see prevention-actor.c for its commands. */
export class Starter implements AsyncDisposable {
  pid = 0;
  /** st_dev of the file system that it has mounted. */
  device = 0;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  private readonly chunks: AsyncIterator<Uint8Array>;
  private text = "";

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.child = child;
    this.chunks = child.stdout.values();
  }

  static async start(user: number, ...command: readonly string[]): Promise<Starter> {
    const asUser = ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", ...command];
    const child = Bun.spawn(user === 0 ? [...command] : asUser, { stdio: ["pipe", "pipe", "inherit"] });
    const starter = new Starter(child);
    const [pid = 0, , device = 0] = await starter.answer();
    starter.pid = pid;
    starter.device = device;
    return starter;
  }

  /** Starts `path` so often in this way. */
  async run(way: string, count: number, path: string, argument = ""): Promise<Outcome> {
    this.child.stdin.write(`${way} ${count} ${path} ${argument}\n`);
    this.child.stdin.flush();
    const [killed = 0, ended = 0, failed = 0] = await this.answer();
    return { killed, ended, failed };
  }

  /** Replaces the actor by another one, with its output as argument. */
  async replace(path: string, output: string): Promise<void> {
    await this.run("self", 1, path, output);
  }

  /** The signal that ended it. */
  async signal(): Promise<number | string | null> {
    await this.child.exited;
    return this.child.signalCode;
  }

  private async answer(): Promise<readonly number[]> {
    while (!this.text.includes("\n")) {
      const { done, value } = await this.chunks.next();
      if (done === true) throw new Error("the actor has ended");
      this.text += new TextDecoder().decode(value);
    }
    const end = this.text.indexOf("\n");
    const numbers = this.text.slice(0, end).split(" ").map(Number);
    this.text = this.text.slice(end + 1);
    return numbers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin.end();
    await this.child.exited;
  }
}
