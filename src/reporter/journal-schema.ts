// The tables and indexes of the journal's file, and what a row says of its record besides the record itself.
import { Database } from "bun:sqlite";
import type { EventRecord } from "../report/event-record.ts";
import { LEARNED_TABLE } from "./learned-table.ts";

export const JOURNAL_SCHEMA = `
  CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL, generation INTEGER NOT NULL, n INTEGER NOT NULL,
    time INTEGER NOT NULL,
    body TEXT NOT NULL,
    kept INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run, generation, n)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS records_time ON records (time);
  CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS totals (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
  ${LEARNED_TABLE};
`;

/** Finds the oldest records of either sort without reading those of the other one. */
export const KEPT_INDEX = "CREATE INDEX IF NOT EXISTS records_kept ON records (kept, id)";

/** The column `time`: ms since the epoch; 0 if the record has no timestamp. */
export function timeOfRecord(record: EventRecord): number {
  const { timestamp } = record;
  const time = typeof timestamp === "string" ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(time) ? 0 : time;
}

interface SchemaRow {
  readonly type: string;
  readonly name: string;
  readonly sql: string | null;
}

/** The rows of sqlite_schema that the library does not make by itself. */
const SCHEMA_ROWS =
  "SELECT type, substr(name, 1, 64) AS name, substr(sql, 1, 4096) AS sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'sqlite_sequence' LIMIT 100";

/**
 * Tables, indexes, views and triggers of a journal's file that are not the reporter's own, such as "index v". With these
 * the same file can answer two queries differently.
 */
export function foreignSchema(database: Database): readonly string[] {
  using own = new Database(":memory:");
  own.run(JOURNAL_SCHEMA);
  own.run(KEPT_INDEX);
  const known = new Set(own.query<SchemaRow, []>(SCHEMA_ROWS).all().map(textOf));
  return database
    .query<SchemaRow, []>(SCHEMA_ROWS)
    .all()
    .filter((row) => !known.has(textOf(row)))
    .map(({ type, name }) => `${type} ${name}`);
}

function textOf({ type, name, sql }: SchemaRow): string {
  return JSON.stringify([type, name, sql]);
}
