// The trees that the reporter collected. Its database is its own, and it may be taken over: a process of its user
// reads it, and root takes only rows that carry the warden's seals.
import type { BaselineEntry } from "../../baseline/entry.ts";
import { LEARNING_KEY } from "../../baseline/file-names.ts";
import { entryOfTree } from "../../baseline/learned-entry.ts";
import { verifyRow } from "../../baseline/learned-seal.ts";
import { readSecretKey } from "../../warden/secret-key.ts";
import { hasTable, openAsOwner, printRowsOf, readRowsAsOwner } from "../journal-rows.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";

/** Rows read, and what they may be together: twice the largest learning. */
const LEARNED_ROWS = {
  what: "learned trees",
  rowsLimit: 200_000,
  bytesLimit: 512 << 20,
  readingMs: 60_000,
};

/** Name of the command that the reading process runs; not shown. */
export const ROWS_COMMAND = "rows";

/** Writes the number of rows of the table, then each as a line of JSON, as the user whose the database is. */
export async function printRows(stateDirectory: string): Promise<void> {
  using database = openAsOwner(stateDirectory);
  if (database === undefined || !hasTable(database, "learned")) return;
  const count = database.query<{ rows: number }, []>("SELECT count(*) AS rows FROM learned").get();
  const rows = database.query(`SELECT * FROM learned LIMIT ${LEARNED_ROWS.rowsLimit + 1}`);
  await printRowsOf(count?.rows ?? 0, rows.iterate());
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
  const command = ["baseline", ROWS_COMMAND, "--state-dir", stateDirectory];
  await readRowsAsOwner({ ...LEARNED_ROWS, command }, (line) => {
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
  const key = readSecretKey(stateDirectory, LEARNING_KEY);
  if (key instanceof Uint8Array) return key;
  if (key.kind === "unreadable")
    throw new CommandError(exitCodes.notAllowed, `the key of the learned trees ${key.reason}`, key.fix);
  return undefined;
}
