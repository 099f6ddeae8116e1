// A state directory with what a warden has reported, and the `baseline` command run on it.
import { Database } from "bun:sqlite";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBaseline, parseBaseline } from "../../src/baseline/baseline-file.ts";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { formatState, type LearningState } from "../../src/baseline/learning-state.ts";
import { LEARNED_TABLE } from "../../src/reporter/learned-table.ts";
import { SEAL_KEY_BYTES } from "../../src/vocabulary/seal.ts";
import { insertRow, type LearnedRow, rowOf, treeOfEntry } from "./learned-rows.ts";
import { NOON, RUN } from "./samples.ts";

export const asRoot = process.geteuid?.() === 0;
export const NOBODY = 65_534;
/** The program of the command. */
export const COMMAND = join(import.meta.dir, "command.ts");

/** The warden's key, and the seals that it makes with it. */
const key = new Uint8Array(SEAL_KEY_BYTES).fill(9);
export const origin = { learning: RUN, warden: "run:1", started: NOON };

export function sealed(entry: BaselineEntry, by = origin, change: string | null = null): LearnedRow {
  return rowOf(treeOfEntry(entry, change), key, by);
}

export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `baseline`. */
export function run(args: readonly string[], stdin = ""): Result {
  return runCommand(["baseline", ...args], stdin);
}

function runCommand(args: readonly string[], stdin = ""): Result {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, COMMAND, ...args], {
    stdin: Buffer.from(stdin),
    env: {},
  });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

export class StateDirectory implements Disposable {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), "baseline-"));
    chmodSync(this.path, 0o755);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }

  /** Runs `change` with this state directory. */
  change(...args: readonly string[]): Result {
    return runCommand(["change", ...args, "--state-dir", this.path]);
  }

  /** Runs `baseline` with this state directory. */
  run(args: readonly string[], stdin?: string): Result {
    return run([...args, "--state-dir", this.path], stdin);
  }

  /** What the warden has reported, in the folder and file of the reporter's user. */
  collected(...entries: readonly BaselineEntry[]): void {
    this.collectedRows(entries.map((entry) => sealed(entry)));
  }

  /** What it has collected for a change. */
  collectedFor(change: string, ...entries: readonly BaselineEntry[]): void {
    this.collectedRows(entries.map((entry) => sealed(entry, origin, change)));
  }

  collectedRows(rows: readonly LearnedRow[]): void {
    mkdirSync(join(this.path, "baseline"), { recursive: true, mode: 0o700 });
    const keyFile = join(this.path, "baseline/learning.key");
    writeFileSync(keyFile, `${Buffer.from(key).toString("hex")}\n`, { mode: 0o600 });
    const folder = join(this.path, "report");
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "journal.sqlite");
    const database = new Database(path, { create: true });
    database.run("PRAGMA journal_mode = WAL");
    database.run(LEARNED_TABLE);
    database.transaction(() => {
      for (const row of rows) insertRow(database, row);
    })();
    database.close();
    if (!asRoot) return;
    chmodSync(folder, 0o750);
    for (const each of [folder, path]) chownSync(each, NOBODY, NOBODY);
  }

  learning(state: LearningState): void {
    mkdirSync(join(this.path, "baseline"), { recursive: true });
    writeFileSync(join(this.path, "baseline/learning.json"), formatState(state));
  }

  /** A baseline file; its path. */
  file(name: string, ...entries: readonly BaselineEntry[]): string {
    const path = join(this.path, name);
    const header = { role: "web", hosts: [name], created: NOON, learnedFrom: NOON, learnedTo: NOON };
    writeFileSync(path, formatBaseline({ header, entries }));
    return path;
  }

  /** The exact trees in force. */
  inForce(): readonly string[] {
    const parsed = parseBaseline(readFileSync(join(this.path, "baseline/in-force")));
    return parsed.ok ? parsed.value.entries.map(({ exact }) => exact) : ["broken"];
  }
}
