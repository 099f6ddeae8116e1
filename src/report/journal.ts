// The journal: numbered records, durable before they are acknowledged, and what the reporter has to remember itself.
// Only the reporter writes it.
import { Database } from "bun:sqlite";
import type { EventRecord } from "./record.ts";
import { isRecord } from "./wire.ts";

export interface JournalBounds {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

export interface JournalRow {
  /** Grows with every row and is never given out again. */
  readonly id: number;
  readonly record: EventRecord;
}

const SCHEMA_VERSION = 1;
const schema = `
  CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL, generation INTEGER NOT NULL, n INTEGER NOT NULL,
    time INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (run, generation, n)
  ) STRICT;
  CREATE INDEX IF NOT EXISTS records_time ON records (time);
  CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Rows deleted at a time, so that a big deletion keeps nobody waiting. */
const PRUNE_ROWS = 5_000;

export class Journal implements Disposable {
  private readonly database: Database;
  private readonly bounds: JournalBounds;

  /** Opens or makes the file. Throws if it cannot be used; a file that is no database is put aside first. */
  constructor(path: string, bounds: JournalBounds) {
    this.bounds = bounds;
    this.database = new Database(path, { create: true, readwrite: true, strict: true });
    // Before the first table: later it would need the whole file rewritten.
    this.database.run("PRAGMA auto_vacuum = INCREMENTAL");
    this.database.run("PRAGMA journal_mode = WAL");
    // An acknowledged record survives the loss of power: the log is synced at every commit.
    this.database.run("PRAGMA synchronous = FULL");
    this.database.run("PRAGMA busy_timeout = 2000");
    this.database.run(schema);
    this.database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }

  /** Writes records `first`, `first` + 1, ... of one warden, all or none; those that are there already are passed over. */
  append(run: string, generation: number, first: number, records: readonly EventRecord[]): void {
    const insert = this.database.query<void, [string, number, number, number, string]>(
      "INSERT OR IGNORE INTO records (run, generation, n, time, body) VALUES (?, ?, ?, ?, ?)",
    );
    const write = this.database.transaction(() => {
      records.forEach((record, i) => {
        insert.run(run, generation, first + i, timeOf(record), JSON.stringify(record));
      });
    });
    write.immediate();
  }

  /** The last number that is there of one warden of a run, 0 if none. */
  last(run: string, generation: number): number {
    const row = this.database
      .query<{ n: number | null }, [string, number]>(
        "SELECT max(n) AS n FROM records WHERE run = ? AND generation = ?",
      )
      .get(run, generation);
    return row?.n ?? 0;
  }

  /** The latest warden of a run of which a record is there; undefined if none. */
  latestGeneration(run: string): number | undefined {
    const row = this.database
      .query<{ g: number | null }, [string]>("SELECT max(generation) AS g FROM records WHERE run = ?")
      .get(run);
    return row?.g ?? undefined;
  }

  /** Rows after `id`, oldest first. */
  after(id: number, limit: number): JournalRow[] {
    return this.rows("SELECT id, body FROM records WHERE id > ? ORDER BY id LIMIT ?", id, limit);
  }

  /** Rows whose time (ms since the epoch) is at least `since`, oldest first, after row `id`. */
  since(since: number, id: number, limit: number): JournalRow[] {
    return this.rows(
      "SELECT id, body FROM records WHERE time >= ? AND id > ? ORDER BY id LIMIT ?",
      since,
      id,
      limit,
    );
  }

  /** The id of the last row that was ever written, 0 if none. */
  newest(): number {
    const row = this.database
      .query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
      .get();
    return row?.seq ?? 0;
  }

  remember(name: string, value: string): void {
    this.database
      .query<void, [string, string]>(
        "INSERT INTO memory (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      )
      .run(name, value);
  }

  recall(name: string): string | undefined {
    return this.database
      .query<{ value: string }, [string]>("SELECT value FROM memory WHERE name = ?")
      .get(name)?.value;
  }

  /**
   * Deletes what is too old, or the oldest while the file is too big; one bounded step. `exported`: rows up to this
   * id have left the host. Gives how many rows went that had not.
   */
  prune(now: number, exported: number): { readonly deleted: number; readonly unexported: number } {
    const tooBig = this.bytes() > this.bounds.maxBytes;
    const where = tooBig
      ? `id IN (SELECT id FROM records ORDER BY id LIMIT ${PRUNE_ROWS})`
      : `id IN (SELECT id FROM records WHERE time < ${Math.floor(now - this.bounds.maxAgeMs)} ORDER BY id LIMIT ${PRUNE_ROWS})`;
    const ids = this.database
      .query<{ id: number }, []>(`DELETE FROM records WHERE ${where} RETURNING id`)
      .all();
    if (ids.length > 0) this.database.run("PRAGMA incremental_vacuum");
    return { deleted: ids.length, unexported: ids.filter(({ id }) => id > exported).length };
  }

  [Symbol.dispose](): void {
    this.database.close();
  }

  private bytes(): number {
    const used = this.database
      .query<{ bytes: number }, []>(
        "SELECT (page_count - freelist_count) * page_size AS bytes FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
      )
      .get();
    return used?.bytes ?? 0;
  }

  private rows(sql: string, ...values: number[]): JournalRow[] {
    const rows = this.database.query<{ id: number; body: string }, number[]>(sql).all(...values);
    return rows.map(({ id, body }) => ({ id, record: parse(body) }));
  }
}

function parse(body: string): EventRecord {
  try {
    const value: unknown = JSON.parse(body);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function timeOf(record: EventRecord): number {
  const { timestamp } = record;
  const time = typeof timestamp === "string" ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(time) ? 0 : time;
}
