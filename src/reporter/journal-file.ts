// Opens the journal's file, brings files of earlier versions up to date, and moves broken ones away.
import { Database, SQLiteError } from "bun:sqlite";
import { existsSync, renameSync, rmSync } from "node:fs";
import { JOURNAL_SCHEMA, KEPT_INDEX } from "./journal-schema.ts";
import { replaceOldTable } from "./learned-table.ts";

/** `user_version` of the file. */
const SCHEMA_VERSION = 3;

/** Opens or creates the file, or a database in memory. Throws an SQLiteError if it cannot be used. */
export function openDatabase(path: string): Database {
  const database = new Database(path, { create: true, readwrite: true, strict: true });
  database.run("PRAGMA busy_timeout = 2000");
  // Must be set before the first table exists: later it would require rewriting the whole file.
  database.run("PRAGMA auto_vacuum = INCREMENTAL");
  database.run("PRAGMA journal_mode = WAL");
  // A commit does not wait for the disk; `sync` does.
  database.run("PRAGMA synchronous = NORMAL");
  database.run("PRAGMA journal_size_limit = 16777216");
  // A negative value is in KiB. The journal mostly appends and rarely reads, so the default of 2 MB would be wasted.
  database.run("PRAGMA cache_size = -256");
  database.run(JOURNAL_SCHEMA);
  completeRecordsTable(database);
  replaceOldTable(database);
  // Only if it changes: a reporter that starts while the disk is full must not have to write.
  if (
    database.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version !== SCHEMA_VERSION
  )
    database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  return database;
}

/** Adds the column that is missing in files of earlier versions, whose records can all be displaced. */
function completeRecordsTable(database: Database): void {
  const present = database.query<{ name: string }, []>("SELECT name FROM pragma_table_info('records')").all();
  if (!present.some(({ name }) => name === "kept"))
    database.run("ALTER TABLE records ADD COLUMN kept INTEGER NOT NULL DEFAULT 0");
  database.run(KEPT_INDEX);
}

/** Whether `error` means that the file is broken. */
export function isUnsound(error: unknown): boolean {
  const codes = ["SQLITE_NOTADB", "SQLITE_CORRUPT"];
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(code) === true);
}

/** Whether `error` means that the disk is full or fails. Other errors need an administrator. */
export function isOfDisk(error: unknown): boolean {
  const codes = ["SQLITE_FULL", "SQLITE_IOERR"];
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(code) === true);
}

/** Whether the file can be opened now. */
export function canOpen(path: string): boolean {
  try {
    openDatabase(path).close();
    return true;
  } catch {
    return false;
  }
}

/** Moves a broken file away. Only the last one is kept, so that repeated corruption does not fill the disk. */
export function quarantineFile(path: string): string {
  const aside = `${path}.broken`;
  for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
  if (existsSync(path)) renameSync(path, aside);
  return aside;
}
