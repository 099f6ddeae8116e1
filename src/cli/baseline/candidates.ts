// The trees that the reporter collected. Its database is its own, and it may be taken over: a process of its user
// reads it, and what root gets are lines of text that are checked like any other.
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { join } from "node:path";
import { type BaselineEntry, mergeEntries } from "../../baseline/entry.ts";
import { entryOfRow } from "../../baseline/learned.ts";
import { ownArguments } from "../../linux/spawn.ts";
import { JOURNAL_FILE } from "../../reporter/journal-reader.ts";
import { becomeOwnerOf } from "../become-owner.ts";
import { CommandError, exitCodes, warn } from "../output.ts";

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
  // All columns: a table that an older reporter made has not every one of them.
  const rows = database.query(`SELECT * FROM learned LIMIT ${ROWS_LIMIT + 1}`);
  let text = "";
  for (const row of rows.iterate()) text += `${JSON.stringify(row)}\n`;
  process.stdout.write(text);
}

/** What was collected, each tree once, in order. */
export function readCandidates(stateDirectory: string): BaselineEntry[] {
  return mergeEntries([readRows(stateDirectory)], false);
}

/** What was collected, a tree once for each warden and each learning. Rows that are none are told and left out. */
export function readRows(stateDirectory: string): BaselineEntry[] {
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
  const entries: BaselineEntry[] = [];
  const wrong = new Map<string, number>();
  let rows = 0;
  for (const line of new TextDecoder().decode(stdout).split("\n")) {
    if (line === "") continue;
    rows += 1;
    const entry = entryOfLine(line);
    if (typeof entry === "string") wrong.set(entry, (wrong.get(entry) ?? 0) + 1);
    else entries.push(entry);
  }
  for (const [why, count] of wrong) warn(`${count} rows of the journal are no trees: ${why}`);
  if (rows > ROWS_LIMIT)
    warn(`the journal has more than ${ROWS_LIMIT} learned trees; the others were not read`);
  return entries;
}

function entryOfLine(line: string): BaselineEntry | string {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? entryOfRow({ ...value }) : "not a row";
  } catch {
    return "not a row";
  }
}
