// The trees that the reporter collected. Its database is its own, and it may be taken over: a process of its user
// reads it, and root takes only rows that carry the warden's seals.
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { BaselineEntry } from "../../baseline/entry.ts";
import { entryOfTree } from "../../baseline/learned.ts";
import { verifyRow } from "../../baseline/learned-seal.ts";
import { ownArguments } from "../../linux/spawn.ts";
import { JOURNAL_FILE } from "../../reporter/journal-reader.ts";
import { readLearningKey } from "../../warden/learning-key.ts";
import { becomeOwnerOf } from "../become-owner.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";

/** Rows read, and what they may be together: twice the largest learning. */
const ROWS_LIMIT = 200_000;
const BYTES_LIMIT = 512 << 20;
const READING_MS = 60_000;

/** Name of the command that the reading process runs; not shown. */
export const ROWS_COMMAND = "rows";

/** Writes the rows of the table as JSON lines, as the user whose the database is. */
export function printRows(stateDirectory: string): void {
  const path = join(stateDirectory, JOURNAL_FILE);
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return;
  if (!file.isFile()) throw new CommandError(exitCodes.usage, `${path} is not a file`);
  becomeOwnerOf(path);
  using database = new Database(path, { readonly: true });
  database.run("PRAGMA trusted_schema = OFF");
  database.run("PRAGMA busy_timeout = 2000");
  const table = database.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'learned'").get();
  if (table === null) return;
  const rows = database.query(`SELECT * FROM learned LIMIT ${ROWS_LIMIT + 1}`);
  let text = "";
  for (const row of rows.iterate()) text += `${JSON.stringify(row)}\n`;
  process.stdout.write(text);
}

/**
 * What was collected; a tree once for each executable and learning run. Rows that are not the warden's are left out and
 * reported, and the command ends with exit code 1.
 */
export function readCandidates(stateDirectory: string): BaselineEntry[] {
  const { rows, foreign } = readRows(stateDirectory);
  if (foreign > 0) {
    warn(`${foreignText(foreign)}, and left out`);
    hint(FOREIGN_HINT);
    process.exitCode = exitCodes.no;
  }
  return entriesOfRows(rows);
}

/** A tree that the warden has reported, and the learning run in which it did. */
export interface CandidateRow {
  readonly learning: string;
  /** undefined if a baseline cannot hold it. */
  readonly entry: BaselineEntry | undefined;
}

export function entriesOfRows(rows: readonly CandidateRow[]): BaselineEntry[] {
  return rows.flatMap(({ entry }) => entry ?? []);
}

export interface CandidateRows {
  /** A tree once for each warden and each learning run. */
  readonly rows: readonly CandidateRow[];
  /** The number of rows that are not as the warden has reported them. */
  readonly foreign: number;
}

export const FOREIGN_HINT =
  "somebody with the rights of the reporter's user has written them, or the key in baseline/learning.key is another one";

export function foreignText(rows: number): string {
  return `${rows} ${rows === 1 ? "row" : "rows"} of the journal without the warden's seal`;
}

export function readRows(stateDirectory: string): CandidateRows {
  const lines = readLines(stateDirectory);
  if (lines.length === 0) return { rows: [], foreign: 0 };
  const key = readLearningKey(stateDirectory);
  // Without a key nothing can be the warden's, unless the key is there and this user must not read it.
  if (!(key instanceof Uint8Array) && key.kind === "unreadable")
    throw new CommandError(exitCodes.notAllowed, `the key of the learned trees ${key.reason}`, key.fix);
  const rows: CandidateRow[] = [];
  const wrong = new Map<string, number>();
  for (const line of lines) {
    const verified = key instanceof Uint8Array ? verifyRow(line, key) : undefined;
    if (verified === undefined) continue;
    const { learning, tree } = verified;
    const entry = entryOfTree(tree);
    if (typeof entry === "string") wrong.set(entry, (wrong.get(entry) ?? 0) + 1);
    rows.push({ learning, entry: typeof entry === "string" ? undefined : entry });
  }
  for (const [why, count] of wrong) warn(`${count} rows of the journal are no trees: ${why}`);
  return { rows, foreign: lines.length - rows.length };
}

/** The rows as JSON. */
function readLines(stateDirectory: string): readonly string[] {
  const { stdout, stderr, exitCode } = Bun.spawnSync(
    ["/proc/self/exe", ...ownArguments(), "baseline", ROWS_COMMAND, "--state-dir", stateDirectory],
    { argv0: "treewarden", stdin: "ignore", maxBuffer: BYTES_LIMIT, timeout: READING_MS, env: {} },
  );
  if (exitCode !== 0) {
    const why =
      new TextDecoder()
        .decode(stderr)
        .split("\n", 1)[0]
        ?.replace(/^treewarden: /, "") ?? "";
    throw new CommandError(
      exitCode === 3 ? exitCodes.notAllowed : exitCodes.fault,
      `cannot read what was learned${why === "" ? "" : `: ${why}`}`,
    );
  }
  const lines = new TextDecoder()
    .decode(stdout)
    .split("\n")
    .filter((line) => line !== "");
  if (lines.length > ROWS_LIMIT)
    warn(`the journal has more than ${ROWS_LIMIT} learned trees; the others were not read`);
  return lines;
}
