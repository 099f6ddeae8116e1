// The trees that the reporter collected. Its database is its own, and it may be taken over: a process of its user
// reads it, and root takes only rows that carry the warden's seals.
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { BaselineEntry } from "../../baseline/entry.ts";
import { entryOfTree } from "../../baseline/learned-entry.ts";
import { verifyRow } from "../../baseline/learned-seal.ts";
import { ownArguments } from "../../linux/spawn.ts";
import { JOURNAL_FILE } from "../../reporter/journal-reader.ts";
import { readLearningKey } from "../../warden/learning-key.ts";
import { becomeOwnerOf } from "../become-owner.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import { Progress } from "../progress.ts";

/** Rows read, and what they may be together: twice the largest learning. */
const ROWS_LIMIT = 200_000;
const BYTES_LIMIT = 512 << 20;
const READING_MS = 60_000;

/** Name of the command that the reading process runs; not shown. */
export const ROWS_COMMAND = "rows";

/** Rows that are written at a time. */
const BATCH = 512;

/** Writes the number of rows of the table, then each as a line of JSON, as the user whose the database is. */
export async function printRows(stateDirectory: string): Promise<void> {
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
  const count = database.query<{ rows: number }, []>("SELECT count(*) AS rows FROM learned").get();
  const rows = database.query(`SELECT * FROM learned LIMIT ${ROWS_LIMIT + 1}`);
  const output = Bun.stdout.writer();
  output.write(`${count?.rows ?? 0}\n`);
  let batched = 0;
  for (const row of rows.iterate()) {
    output.write(`${JSON.stringify(row)}\n`);
    batched += 1;
    if (batched % BATCH === 0) await output.flush();
  }
  await output.end();
}

/**
 * What was collected; a tree once for each executable and learning run. Rows that are not the warden's are left out and
 * reported, and the command ends with exit code 1.
 */
export async function readCandidates(stateDirectory: string): Promise<BaselineEntry[]> {
  return entriesOfRows(withoutForeign(await readRows(stateDirectory)));
}

/** The warden's rows. The others are reported, and the command ends with exit code 1. */
export function withoutForeign({ rows, foreign }: CandidateRows): readonly CandidateRow[] {
  if (foreign > 0) {
    warn(`${foreignText(foreign)}, and left out`);
    hint(FOREIGN_HINT);
    process.exitCode = exitCodes.no;
  }
  return rows;
}

/** A tree that the warden has reported, and the learning run in which it did. */
export interface CandidateRow {
  readonly learning: string;
  /** The change for which it was collected; null for none. */
  readonly change: string | null;
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

/** Reads what the reporter has stored. Only the warden's rows are returned; the others are counted. */
export async function readRows(stateDirectory: string): Promise<CandidateRows> {
  const rows: CandidateRow[] = [];
  const unusable = new Map<string, number>();
  let key: Uint8Array | undefined;
  let hasKey = false;
  let foreign = 0;
  await readLines(stateDirectory, (line) => {
    if (!hasKey) {
      key = learningKey(stateDirectory);
      hasKey = true;
    }
    const verified = key === undefined ? undefined : verifyRow(line, key);
    if (verified === undefined) {
      foreign += 1;
      return;
    }
    const { learning, tree } = verified;
    const entry = entryOfTree(tree);
    if (typeof entry === "string") unusable.set(entry, (unusable.get(entry) ?? 0) + 1);
    rows.push({ learning, change: tree.change, entry: typeof entry === "string" ? undefined : entry });
  });
  for (const [why, count] of unusable) warn(`${count} rows of the journal are no trees: ${why}`);
  return { rows, foreign };
}

/** The key of the seals; undefined if there is none, and then no row can be the warden's. */
function learningKey(stateDirectory: string): Uint8Array | undefined {
  const key = readLearningKey(stateDirectory);
  if (key instanceof Uint8Array) return key;
  if (key.kind === "unreadable")
    throw new CommandError(exitCodes.notAllowed, `the key of the learned trees ${key.reason}`, key.fix);
  return undefined;
}

/**
 * Passes each row, as JSON, to `onRow`. A process of the reporter's user reads them: it may be taken over through the
 * database, so what it writes and how long it takes is bounded.
 */
async function readLines(stateDirectory: string, onRow: (line: string) => void): Promise<void> {
  using progress = new Progress("reading learned trees");
  const reader = Bun.spawn(
    ["/proc/self/exe", ...ownArguments(), "baseline", ROWS_COMMAND, "--state-dir", stateDirectory],
    { argv0: "treewarden", stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: READING_MS, env: {} },
  );
  const errors = firstLineOf(reader.stderr);
  const decoder = new TextDecoder();
  let rest = "";
  let bytes = 0;
  let total: number | undefined;
  let rows = 0;
  let isWhole = false;
  try {
    for await (const chunk of reader.stdout) {
      bytes += chunk.length;
      const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (total === undefined) total = Number(line);
        else if (rows < ROWS_LIMIT) {
          rows += 1;
          onRow(line);
        }
      }
      progress.update(rows, total);
      if (bytes > BYTES_LIMIT) break;
    }
    isWhole = bytes <= BYTES_LIMIT;
  } finally {
    if (!isWhole) reader.kill("SIGKILL");
  }
  const exitCode = await reader.exited;
  if (exitCode !== 0) {
    const why = (await errors).replace(/^treewarden: /, "");
    throw new CommandError(
      exitCode === exitCodes.notAllowed ? exitCodes.notAllowed : exitCodes.fault,
      `cannot read what was learned${why === "" ? "" : `: ${why}`}`,
    );
  }
  if (total !== undefined && total > ROWS_LIMIT)
    warn(`the journal has more than ${ROWS_LIMIT} learned trees; the others were not read`);
}

/** An error message is far shorter. In bytes. */
const MESSAGE_LIMIT = 4_096;

async function firstLineOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    // What follows is read and dropped, so that a process that writes it is not blocked.
    if (bytes <= MESSAGE_LIMIT) text += decoder.decode(chunk, { stream: true });
  }
  return text.split("\n", 1)[0] ?? "";
}
