// The journal stores reliable records, learned trees and the reporter's own state. Only the reporter writes it. Records
// are durable before they are acknowledged, but a write does not wait for the disk, which may take seconds to sync:
// outputs get the records meanwhile.
import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, existsSync, fdatasync, openSync, renameSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import type { SealedUpdate } from "../baseline/learned.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { CumulativeRow } from "./cumulative-totals.ts";
import { type JournalRow, parseJournalRecord } from "./journal-reader.ts";
import { LEARNED_TABLE, pruneLearned, replaceUnsealedTable, writeLearned } from "./learned-table.ts";

export interface JournalBounds {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** Identifies a warden of a run. */
export interface WardenOfRun {
  readonly run: string;
  readonly generation: number;
}

/** Records of one warden. The first has the number `first`; the others have the next numbers. */
export interface NumberedRecords extends WardenOfRun {
  readonly first: number;
  readonly records: readonly EventRecord[];
}

/** The data of one transaction. */
export interface JournalEntry {
  readonly records: readonly NumberedRecords[];
  readonly learned?: WardenOfRun & { readonly updates: readonly SealedUpdate[] };
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

/** Limits of one pruning: rows per statement, which blocks the reporter, and statements. */
const PRUNE_ROWS = 1_000;
const PRUNE_STEPS = 10;
/** The number of written rows after which the bounds are checked again. */
const PRUNE_EVERY = 500;

/** `body` is null for a row that was already delivered. */
interface DeletedRow {
  readonly id: number;
  readonly body: string | null;
}

export class Journal implements Disposable {
  private readonly path: string;
  private readonly bounds: JournalBounds;
  private database: Database;
  /** The number of rows written since the bounds were checked. */
  private sincePrune = 0;
  /** The descriptor of the write-ahead log, opened at the first sync. */
  private log: number | undefined;
  /** The path to which a broken file was moved, if any. */
  quarantine: string | undefined;
  /** The number of broken files that were replaced. In each new file row ids start at 1 again. */
  replacements = 0;

  /** Opens or creates the file. A broken database is moved away first. Throws if the file cannot be used. */
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

  /** Starts a new file if `error`, thrown by another method, means that this one is broken; true if so. */
  replaceIfBroken(error: unknown): boolean {
    if (!isUnsound(error)) return false;
    this.closeLog();
    this.database.close();
    this.quarantine = quarantineFile(this.path);
    this.database = openDatabase(this.path);
    this.replacements += 1;
    return true;
  }

  /** Writes the whole entry or nothing. Numbers that are already present are skipped. Durable after the next `sync`. */
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
      if (learned !== undefined)
        for (const update of learned.updates) writeLearned(this.database, learned, update);
      this.put(memory);
    });
    write.immediate();
    this.sincePrune += learned?.updates.length ?? 0;
    for (const { records: numbered } of records) this.sincePrune += numbered.length;
  }

  /** Resolves when everything that was written before the call survives power loss. */
  async sync(): Promise<void> {
    // Every commit is in the log until a checkpoint, which syncs by itself, has copied it. SQLite holds its locks on
    // another file, so closing this descriptor releases none of them.
    this.log ??= openSync(`${this.path}-wal`, "r");
    await dataSynced(this.log);
  }

  /** Whether enough was written to check the bounds again. */
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

  /** The id of the last row that was ever written, 0 if there is none. */
  newest(): number {
    const row = this.database
      .query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
      .get();
    return row?.seq ?? 0;
  }

  /** Writes names with values for `recall`, and totals, in one transaction. */
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

  /** The value that `remember` stored under this name in this file. */
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
   * Deletes a bounded number of rows: those that are too old, and the oldest while the file is too large. Calls
   * `onUndelivered` for each deleted row with an id greater than `delivered`. Returns the number of deleted rows.
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

  /** Deletes at most a twentieth of the rows, so that a small journal is not emptied at once. */
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
  // Must be set before the first table exists: later it would require rewriting the whole file.
  database.run("PRAGMA auto_vacuum = INCREMENTAL");
  database.run("PRAGMA journal_mode = WAL");
  // A commit does not wait for the disk; `sync` does.
  database.run("PRAGMA synchronous = NORMAL");
  database.run("PRAGMA journal_size_limit = 16777216");
  // A negative value is in KiB. The journal mostly appends and rarely reads, so the default of 2 MB would be wasted.
  database.run("PRAGMA cache_size = -256");
  database.run(schema);
  replaceUnsealedTable(database);
  database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  return database;
}

function isUnsound(error: unknown): boolean {
  const codes = ["SQLITE_NOTADB", "SQLITE_CORRUPT"];
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(code) === true);
}

/** Moves a broken file away. Only the last one is kept, so that repeated corruption does not fill the disk. */
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
