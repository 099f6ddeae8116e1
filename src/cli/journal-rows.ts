// Reads rows of the journal for a command that root runs. The file is the reporter's, which may be taken over: a process
// of the reporter's user reads it, and writes each row as a line of JSON.
import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { join } from "node:path";
import { ownArguments } from "../linux/spawn.ts";
import { JOURNAL_FILE } from "../reporter/journal-reader.ts";
import { becomeOwnerOf } from "./become-owner.ts";
import { CommandError, exitCodes, warn } from "./output.ts";
import { Progress } from "./progress.ts";

/** The longest row in characters. A longer one would be put together again and again while it arrives. */
const LINE_LIMIT = 1 << 20;
/** Rows that are written at a time. */
const BATCH = 512;

/** The journal, as the user whose it is; undefined if there is none. */
export function openAsOwner(stateDirectory: string): Database | undefined {
  const path = join(stateDirectory, JOURNAL_FILE);
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return undefined;
  if (!file.isFile()) throw new CommandError(exitCodes.usage, `${path} is not a file`);
  becomeOwnerOf(path);
  const database = new Database(path, { readonly: true });
  database.run("PRAGMA trusted_schema = OFF");
  database.run("PRAGMA busy_timeout = 2000");
  return database;
}

export function hasTable(database: Database, name: string): boolean {
  return database.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== null;
}

/** Writes how many rows there are, then each as a line of JSON. */
export async function printRowsOf(count: number, rows: Iterable<unknown>): Promise<void> {
  const output = Bun.stdout.writer();
  output.write(`${count}\n`);
  let batched = 0;
  for (const row of rows) {
    output.write(`${JSON.stringify(row)}\n`);
    batched += 1;
    if (batched % BATCH === 0) await output.flush();
  }
  await output.end();
}

export interface RowsRequest {
  /** The command of treewarden that prints the rows. */
  readonly command: readonly string[];
  /** What the rows are, for messages. */
  readonly what: string;
  /** The most rows that are read. */
  readonly rowsLimit: number;
  /** What is read at most, bytes. */
  readonly bytesLimit: number;
  /** How long reading may take, ms. */
  readonly readingMs: number;
}

/** Passes each row, as JSON, to `onRow`. What the reading process writes and how long it takes is bounded. */
export async function readRowsAsOwner(request: RowsRequest, onRow: (line: string) => void): Promise<void> {
  const { command, what, rowsLimit, bytesLimit, readingMs } = request;
  using progress = new Progress(`reading ${what}`);
  const reader = Bun.spawn(["/proc/self/exe", ...ownArguments(), ...command], {
    argv0: "treewarden",
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: readingMs,
    env: {},
  });
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
      if (rest.length > LINE_LIMIT) break;
      for (const line of lines) {
        if (total === undefined) total = Number(line);
        else if (rows < rowsLimit) {
          rows += 1;
          onRow(line);
        }
      }
      progress.update(rows, total);
      if (bytes > bytesLimit) break;
    }
    isWhole = bytes <= bytesLimit && rest.length <= LINE_LIMIT;
  } finally {
    if (!isWhole) reader.kill("SIGKILL");
  }
  const exitCode = await reader.exited;
  if (exitCode !== 0) {
    const why = (await errors).replace(/^treewarden: /, "");
    throw new CommandError(
      exitCode === exitCodes.notAllowed ? exitCodes.notAllowed : exitCodes.fault,
      `cannot read ${what}${why === "" ? "" : `: ${why}`}`,
    );
  }
  if (total !== undefined && total > rowsLimit)
    warn(`the journal has more than ${rowsLimit} ${what}; the others were not read`);
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
