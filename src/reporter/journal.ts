// The journal: reliable records, durable before they are acknowledged, what is learned, and what the reporter itself has to
// remember. Writing waits for no disk: one under load takes seconds to sync, and outputs get the records meanwhile. Only
// the reporter writes it.
import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, existsSync, fdatasync, openSync, renameSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import type { LearnedUpdate } from "../baseline/learned.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { CumulativeRow } from "./cumulative-totals.ts";
import { type JournalRow, parseJournalRecord } from "./journal-reader.ts";
import { completeLearnedTable, LEARNED_TABLE, pruneLearned, writeLearned } from "./learned-table.ts";

export interface JournalBounds {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** One warden of one run. */
export interface WardenOfRun {
  readonly run: string;
  readonly generation: number;
}

/** Records of one warden. The first has the number `first`, the others follow it one by one. */
export interface NumberedRecords extends WardenOfRun {
  readonly first: number;
  readonly records: readonly EventRecord[];
}

/** What one transaction writes. */
export interface JournalEntry {
  readonly records: readonly NumberedRecords[];
  readonly learned?: WardenOfRun & { readonly updates: readonly LearnedUpdate[] };
  /** Names and values for `recall`. */
  readonly memory?: Readonly<Record<string, string>>;
}

const dataSynced = promisify(fdatasync);

const SCHEMA_VERSION = 2;
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
  CREATE TABLE IF NOT EXISTS totals (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
  ${LEARNED_TABLE};
`;

/** Rows deleted by one statement, which blocks the reporter, and statements in one go. */
const PRUNE_ROWS = 1_000;
const PRUNE_STEPS = 10;
/** Rows written before the bounds are checked again. */
const PRUNE_EVERY = 500;

/** `body`: of a row that was not delivered yet. */
interface DeletedRow {
  readonly id: number;
  readonly body: string | null;
}

export class Journal implements Disposable {
  private readonly path: string;
  private readonly bounds: JournalBounds;
  private database: Database;
  /** Rows written since the bounds were checked. */
  private sincePrune = 0;
  /** Descriptor of the write-ahead log, once it was synced. */
  private log: number | undefined;
  /** The path to which a broken file was moved, if there was one. */
  quarantine: string | undefined;
  /** Which file this is, from 0: one more whenever a broken one was replaced, and then row ids begin at 1 again. */
  replacements = 0;

  /** Opens or makes the file. Throws if it cannot be used; a file that is not a sound database is moved away first. */
  constructor(path: string, bounds: JournalBounds) {
    this.path = path;
    this.bounds = bounds;
    try {
      this.database = openDatabase(path);
    } catch (error) {
      if (!isUnsound(error)) throw error;
      this.quarantine = quarantineFile(path);
      this.database = openDatabase(path);
    }
  }

  /** Begins a new file if `error`, thrown by another method, says that this one is broken; true if so. */
  replaceIfBroken(error: unknown): boolean {
    if (!isUnsound(error)) return false;
    this.closeLog();
    this.database.close();
    this.quarantine = quarantineFile(this.path);
    this.database = openDatabase(this.path);
    this.replacements += 1;
    return true;
  }

  /** Writes all of the entry or nothing; a number that is there already is left out. Durable after the next `sync`. */
  append({ records, learned, memory = {} }: JournalEntry): void {
    const insert = this.database.query<void, [string, number, number, number, string]>(
      "INSERT OR IGNORE INTO records (run, generation, n, time, body) VALUES (?, ?, ?, ?, ?)",
    );
    const write = this.database.transaction(() => {
      for (const { run, generation, first, records: numbered } of records) {
        numbered.forEach((record, i) => {
          insert.run(run, generation, first + i, timeOf(record), JSON.stringify(record));
        });
      }
      for (const update of learned?.updates ?? [])
        writeLearned(this.database, `${learned?.run}:${learned?.generation}`, update);
      this.put(memory);
    });
    write.immediate();
    this.sincePrune += learned?.updates.length ?? 0;
    for (const { records: numbered } of records) this.sincePrune += numbered.length;
  }

  /** When it resolves, what was written before the call survives the loss of power. */
  async sync(): Promise<void> {
    // Every commit is in the log until a checkpoint, which syncs by itself, has copied it. SQLite locks another file
    // than this one, so that closing it again lets go of no lock.
    this.log ??= openSync(`${this.path}-wal`, "r");
    await dataSynced(this.log);
  }

  /** Enough was written to check the bounds again. */
  get wantsPrune(): boolean {
    return this.sincePrune >= PRUNE_EVERY;
  }

  /** Rows after `id`, oldest first, up to `limit` of them and about `bytes` together (at least one if there is any). */
  after(id: number, limit: number, bytes: number): (JournalRow & { readonly size: number })[] {
    const rows: (JournalRow & { readonly size: number })[] = [];
    let size = 0;
    const query = this.database.query<{ id: number; body: string }, [number, number]>(
      "SELECT id, body FROM records WHERE id > ? ORDER BY id LIMIT ?",
    );
    for (const row of query.iterate(id, limit)) {
      rows.push({ id: row.id, record: parseJournalRecord(row.body), size: row.body.length });
      size += row.body.length;
      if (size > bytes) break;
    }
    return rows;
  }

  /** The id of the last row that was ever written, 0 if none. */
  newest(): number {
    const row = this.database
      .query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
      .get();
    return row?.seq ?? 0;
  }

  /** Writes names with their values for `recall`, and totals; all or none. */
  remember(memory: Readonly<Record<string, string>>, totals: readonly CumulativeRow[] = []): void {
    const keep = this.database.query<void, [string, string]>("INSERT OR REPLACE INTO totals VALUES (?, ?)");
    const drop = this.database.query<void, [string]>("DELETE FROM totals WHERE key = ?");
    const write = this.database.transaction(() => {
      this.put(memory);
      for (const { key, body } of totals) {
        if (body === null) drop.run(key);
        else keep.run(key, body);
      }
    });
    write.immediate();
  }

  /** The value that was remembered under this name in this file. */
  recall(name: string): string | undefined {
    return this.database
      .query<{ value: string }, [string]>("SELECT value FROM memory WHERE name = ?")
      .get(name)?.value;
  }

  /** The bodies of all stored totals. */
  totals(): string[] {
    return this.database
      .query<{ body: string }, []>("SELECT body FROM totals")
      .all()
      .map(({ body }) => body);
  }

  forgetTotals(): void {
    this.database.run("DELETE FROM totals");
  }

  /**
   * Deletes what is too old, and the oldest while the file is too big; a bounded amount. Each deleted row with an id
   * greater than `delivered` is handed to `onUndelivered`. Gives how many rows were deleted.
   */
  prune(now: number, delivered: number, onUndelivered: (row: JournalRow) => void): number {
    this.sincePrune = 0;
    pruneLearned(this.database);
    let deleted = 0;
    for (let step = 0; step < PRUNE_STEPS; step += 1) {
      const isTooBig = this.bytes() > this.bounds.maxBytes;
      const rows = isTooBig ? this.deleteOldest(delivered) : this.deleteBefore(now, delivered);
      if (rows.length === 0) break;
      deleted += rows.length;
      for (const { id, body } of rows)
        if (body !== null) onUndelivered({ id, record: parseJournalRecord(body) });
    }
    if (deleted > 0) this.database.run("PRAGMA incremental_vacuum");
    return deleted;
  }

  [Symbol.dispose](): void {
    this.closeLog();
    this.database.close();
  }

  private closeLog(): void {
    if (this.log !== undefined) closeSync(this.log);
    this.log = undefined;
  }

  private deleteBefore(now: number, delivered: number): DeletedRow[] {
    return this.database
      .query<DeletedRow, [number, number]>(
        `DELETE FROM records WHERE id IN (SELECT id FROM records WHERE time < ? ORDER BY time LIMIT ${PRUNE_ROWS})
         RETURNING id, iif(id > ?, body, NULL) AS body`,
      )
      .all(Math.floor(now - this.bounds.maxAgeMs), delivered);
  }

  /** A twentieth of the rows at most, so that a small journal is not emptied at once. */
  private deleteOldest(delivered: number): DeletedRow[] {
    return this.database
      .query<DeletedRow, [number]>(
        `DELETE FROM records WHERE id IN (SELECT id FROM records ORDER BY id
           LIMIT (SELECT min(${PRUNE_ROWS}, (max(id) - min(id)) / 20 + 1) FROM records))
         RETURNING id, iif(id > ?, body, NULL) AS body`,
      )
      .all(delivered);
  }

  private put(memory: Readonly<Record<string, string>>): void {
    const put = this.database.query<void, [string, string]>("INSERT OR REPLACE INTO memory VALUES (?, ?)");
    for (const [name, value] of Object.entries(memory)) put.run(name, value);
  }

  private bytes(): number {
    const used = this.database
      .query<{ bytes: number }, []>(
        "SELECT (page_count - freelist_count) * page_size AS bytes FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
      )
      .get();
    return used?.bytes ?? 0;
  }
}

function openDatabase(path: string): Database {
  const database = new Database(path, { create: true, readwrite: true, strict: true });
  database.run("PRAGMA busy_timeout = 2000");
  // Before the first table: later it would need the whole file rewritten.
  database.run("PRAGMA auto_vacuum = INCREMENTAL");
  database.run("PRAGMA journal_mode = WAL");
  // A commit does not wait for the disk: `sync` does.
  database.run("PRAGMA synchronous = NORMAL");
  database.run("PRAGMA journal_size_limit = 16777216");
  // KiB (if negative). It writes at the end and reads little back: 2 MB of pages, as usual, would be kept for nothing.
  database.run("PRAGMA cache_size = -256");
  database.run(schema);
  completeLearnedTable(database);
  database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  return database;
}

function isUnsound(error: unknown): boolean {
  const codes = ["SQLITE_NOTADB", "SQLITE_CORRUPT"];
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(code) === true);
}

/** Moves a broken file away. Only the last one is kept, so that breaking the journal again and again fills no disk. */
function quarantineFile(path: string): string {
  const aside = `${path}.broken`;
  for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
  if (existsSync(path)) renameSync(path, aside);
  return aside;
}

function timeOf(record: EventRecord): number {
  const { timestamp } = record;
  const time = typeof timestamp === "string" ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(time) ? 0 : time;
}
