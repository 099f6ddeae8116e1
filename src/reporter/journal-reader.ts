// Reading the journal beside the reporter that writes it.
import { constants, Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { printable } from "../linux/text.ts";
import { type EventRecord, isEventRecord, type RecordValue } from "../report/event-record.ts";

/** Below the state directory. */
export const JOURNAL_FILE = "report/journal.sqlite";

export interface JournalRow {
  /** Grows with every row and is never given out again. */
  readonly id: number;
  readonly record: EventRecord;
}

export class JournalReader implements Disposable {
  private readonly database: Database;

  /** Throws if there is none or it may not be read. */
  constructor(path: string) {
    this.database = openReadOnly(path);
  }

  /** Rows of at least time `since` (ms since the epoch) after row `after`, oldest first. */
  rows(since: number, after: number, limit: number): JournalRow[] {
    if (!this.hasRecords()) return [];
    const rows = this.database
      .query<{ id: number; body: string }, [number, number, number]>(
        "SELECT id, body FROM records WHERE id > ? AND time >= ? ORDER BY id LIMIT ?",
      )
      .all(after, since, limit);
    return rows.map(({ id, body }) => ({ id, record: parseJournalRecord(body) }));
  }

  /** The id of the last row, 0 if there is none. */
  newest(): number {
    if (!this.hasRecords()) return 0;
    return this.database.query<{ id: number | null }, []>("SELECT max(id) AS id FROM records").get()?.id ?? 0;
  }

  /** False while a reporter is just making the file. */
  private hasRecords(): boolean {
    return this.database.query("SELECT 1 FROM sqlite_schema WHERE name = 'records'").get() !== null;
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}

/** The file is the reporter's, which may be taken over: its schema must not run anything here. */
function opened(name: string, flags: number): Database {
  const database = new Database(name, flags);
  database.run("PRAGMA busy_timeout = 2000");
  database.run("PRAGMA trusted_schema = OFF");
  database.query("SELECT count(*) FROM sqlite_schema").get();
  return database;
}

/** Without a log beside it nobody writes, and the file can be read even where none may be made. */
function openReadOnly(path: string): Database {
  try {
    return opened(path, constants.SQLITE_OPEN_READONLY);
  } catch (error) {
    if (existsSync(`${path}-wal`)) throw error;
    const uri = `${pathToFileURL(path).href}?immutable=1`;
    return opened(uri, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
  }
}

/** The record in a row, its text made printable again: whoever wrote the file may not have. */
export function parseJournalRecord(body: string): EventRecord {
  try {
    const value: unknown = JSON.parse(body);
    if (!isEventRecord(value)) return {};
    const record: Record<string, RecordValue> = {};
    for (const [name, each] of Object.entries(value)) record[printable(name)] = printableValue(each);
    return record;
  } catch {
    return {};
  }
}

function printableValue(value: RecordValue): RecordValue {
  if (typeof value === "string") return printable(value);
  return isTexts(value) ? value.map(printable) : value;
}

function isTexts(value: RecordValue): value is readonly string[] {
  return Array.isArray(value) && typeof value[0] === "string";
}
