// Reads the journal while the reporter writes it.
import { constants, Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { printable } from "../linux/text.ts";
import { type EventRecord, isTexts, parseRecord, type RecordValue } from "../report/event-record.ts";
import { type EventFilter, isWanted, sqlOf } from "./event-filter.ts";

/** Relative to the state directory. */
export const JOURNAL_FILE = "report/journal.sqlite";

/** Rows that are read by one statement: some 2 MB. */
const PAGE_ROWS = 500;

export interface JournalRow {
  /** Increases with every row and is never reused. */
  readonly id: number;
  readonly record: EventRecord;
}

export class JournalReader implements Disposable {
  private readonly database: Database;

  /** Throws if the file does not exist or may not be read. */
  constructor(path: string) {
    this.database = openReadOnly(path);
  }

  /**
   * The rows after row `after` up to row `last` that the filter wants, oldest first. They are read page by page, so that a
   * slow consumer keeps no transaction open, which would make the write-ahead log grow.
   */
  *rows(filter: EventFilter = {}, after = 0, last = this.newest()): Generator<JournalRow> {
    const { from, to } = this.range(filter, after + 1, last);
    for (let next = from; next <= to; ) {
      const page = this.page(filter, next, to, PAGE_ROWS, "ASC");
      yield* wantedOf(filter, page);
      const end = page.at(-1)?.id;
      if (end === undefined || page.length < PAGE_ROWS) return;
      next = end + 1;
    }
  }

  /** The newest `limit` rows that the filter wants, among those up to row `last`, oldest first. */
  newestRows(filter: EventFilter, last: number, limit: number): JournalRow[] {
    const found: JournalRow[] = [];
    const { from, to } = this.range(filter, 1, last);
    for (let next = to; next >= from && found.length < limit; ) {
      const page = this.page(filter, from, next, PAGE_ROWS, "DESC");
      found.push(...wantedOf(filter, page));
      const end = page.at(-1)?.id;
      if (end === undefined || page.length < PAGE_ROWS) break;
      next = end - 1;
    }
    return found.slice(0, limit).reverse();
  }

  /** The id of the last row, 0 if there is none. */
  newest(): number {
    if (!this.hasRecords()) return 0;
    return this.database.query<{ id: number | null }, []>("SELECT max(id) AS id FROM records").get()?.id ?? 0;
  }

  /** What the reporter remembers under this name; undefined if there is nothing. */
  recall(name: string): string | undefined {
    if (!this.hasTable("memory")) return undefined;
    return this.database
      .query<{ value: string }, [string]>("SELECT value FROM memory WHERE name = ?")
      .get(name)?.value;
  }

  /** Narrows the ids by the filter's times, through the index of times. */
  private range(
    filter: EventFilter,
    from: number,
    to: number,
  ): { readonly from: number; readonly to: number } {
    if (!this.hasRecords()) return { from: 1, to: 0 };
    const { since, until } = filter;
    if (since === undefined && until === undefined) return { from, to };
    const ids = this.database
      .query<{ first: number | null; last: number | null }, [number, number]>(
        "SELECT min(id) AS first, max(id) AS last FROM records WHERE time >= ? AND time <= ?",
      )
      .get(Math.floor(since ?? 0), Math.floor(until ?? Number.MAX_SAFE_INTEGER));
    if (ids === null || ids.first === null || ids.last === null) return { from: 1, to: 0 };
    return { from: Math.max(from, ids.first), to: Math.min(to, ids.last) };
  }

  private page(
    filter: EventFilter,
    from: number,
    to: number,
    limit: number,
    order: "ASC" | "DESC",
  ): readonly { readonly id: number; readonly body: string }[] {
    const { sql, values } = sqlOf(filter);
    return this.database
      .query<{ id: number; body: string }, (number | string)[]>(
        `SELECT id, body FROM records WHERE id BETWEEN ? AND ? AND ${sql} ORDER BY id ${order} LIMIT ?`,
      )
      .all(from, to, ...values, limit);
  }

  /** False while a reporter is still creating the file. */
  private hasRecords(): boolean {
    return this.hasTable("records");
  }

  private hasTable(name: string): boolean {
    return this.database.query("SELECT 1 FROM sqlite_schema WHERE name = ?").get(name) !== null;
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}

function* wantedOf(
  filter: EventFilter,
  page: readonly { readonly id: number; readonly body: string }[],
): Generator<JournalRow> {
  for (const { id, body } of page) {
    const record = parseJournalRecord(body);
    if (isWanted(filter, record)) yield { id, record };
  }
}

/** The file belongs to the reporter, which may be compromised, so code in its schema must not run here. */
function opened(name: string, flags: number): Database {
  const database = new Database(name, flags);
  database.run("PRAGMA busy_timeout = 2000");
  database.run("PRAGMA trusted_schema = OFF");
  database.query("SELECT count(*) FROM sqlite_schema").get();
  return database;
}

/** Without a write-ahead log nobody writes, so the file can be opened as immutable in a read-only directory. */
function openReadOnly(path: string): Database {
  try {
    return opened(path, constants.SQLITE_OPEN_READONLY);
  } catch (error) {
    if (existsSync(`${path}-wal`)) throw error;
    const uri = `${Bun.pathToFileURL(path).href}?immutable=1`;
    return opened(uri, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
  }
}

/** The record in a row. Text is made printable again, because a compromised reporter may not have done so. */
export function parseJournalRecord(body: string): EventRecord {
  const record: Record<string, RecordValue> = {};
  for (const [name, value] of Object.entries(parseRecord(body) ?? {}))
    record[printable(name)] = printableValue(value);
  return record;
}

function printableValue(value: RecordValue): RecordValue {
  if (typeof value === "string") return printable(value);
  return isTexts(value) ? value.map(printable) : value;
}
