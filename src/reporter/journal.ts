// The journal: numbered records, durable before they are acknowledged, and what the reporter has to remember itself.
// Writing to it waits for no disk: a disk under load takes seconds to sync, and what it holds is to be shown meanwhile.
// Only the reporter writes it.
import { Database, SQLiteError } from "bun:sqlite";
import { closeSync, existsSync, fdatasync, openSync, renameSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import type { EventRecord } from "../report/event-record.ts";
import type { CumulativeRow } from "./cumulative-totals.ts";
import { type JournalRow, parseJournalRecord } from "./journal-reader.ts";
import { completeLearned, isLearned, keepLearned, LEARNED_TABLE, pruneLearned } from "./learned-rows.ts";

export interface JournalBounds {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** Records of one warden of a run, numbered from `first`. */
export interface Batch {
  readonly run: string;
  readonly generation: number;
  readonly first: number;
  readonly records: readonly EventRecord[];
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

/** Rows deleted at a time, so that a big deletion keeps nobody waiting, and how many times in one go. */
const PRUNE_ROWS = 1_000;
const PRUNE_STEPS = 10;
/** More rows than this are never written between two looks at the bounds. */
const PRUNE_EVERY = 500;

export class Journal implements Disposable {
  private readonly path: string;
  private readonly bounds: JournalBounds;
  private database: Database;
  private sincePrune = 0;
  /** The write-ahead log, once it was synced. */
  private log: number | undefined;
  /** The file that was there could not be read and lies aside under this name. */
  quarantine: string | undefined;

  /** Opens or makes the file. Throws if it cannot be used; one that is no sound database is put aside first. */
  constructor(path: string, bounds: JournalBounds) {
    this.path = path;
    this.bounds = bounds;
    try {
      this.database = openDatabase(path);
    } catch (error) {
      if (!isUnsound(error)) throw error;
      this.quarantine = setAside(path);
      this.database = openDatabase(path);
    }
  }

  /** Begins a new file if `error`, thrown by another method, says that this one is broken; true if so. */
  replaceIfBroken(error: unknown): boolean {
    if (!isUnsound(error)) return false;
    this.closeLog();
    this.database.close();
    this.quarantine = setAside(this.path);
    this.database = openDatabase(this.path);
    return true;
  }

  /** Writes the batches and remembers, all or none; a number that is there already is passed over. Durable after the next `sync`. */
  append(batches: readonly Batch[], memory: Readonly<Record<string, string>> = {}): void {
    const insert = this.database.query<void, [string, number, number, number, string]>(
      "INSERT OR IGNORE INTO records (run, generation, n, time, body) VALUES (?, ?, ?, ?, ?)",
    );
    const write = this.database.transaction(() => {
      for (const { run, generation, first, records } of batches) {
        records.forEach((record, i) => {
          insert.run(run, generation, first + i, timeOf(record), JSON.stringify(record));
          if (isLearned(record)) keepLearned(this.database, `${run}:${generation}`, record);
        });
      }
      this.put(memory);
    });
    write.immediate();
    for (const { records } of batches) this.sincePrune += records.length;
  }

  /** When it resolves, what was written before the call survives the loss of power. */
  async sync(): Promise<void> {
    // Every commit is in the log until a checkpoint, which syncs by itself, has copied it. SQLite locks another file
    // than this one, so that closing it again lets go of no lock.
    this.log ??= openSync(`${this.path}-wal`, "r");
    await dataSynced(this.log);
  }

  /** Enough was written to look at the bounds again. */
  get wantsPrune(): boolean {
    return this.sincePrune >= PRUNE_EVERY;
  }

  /** Rows after `id`, oldest first, up to `limit` of them and about `bytes` together (but one if there is one). */
  after(id: number, limit: number, bytes: number): JournalRow[] {
    const rows: JournalRow[] = [];
    let size = 0;
    const query = this.database.query<{ id: number; body: string }, [number, number]>(
      "SELECT id, body FROM records WHERE id > ? ORDER BY id LIMIT ?",
    );
    for (const row of query.iterate(id, limit)) {
      rows.push({ id: row.id, record: parseJournalRecord(row.body) });
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

  /** Remembers names and totals, all or none. */
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

  recall(name: string): string | undefined {
    return this.database
      .query<{ value: string }, [string]>("SELECT value FROM memory WHERE name = ?")
      .get(name)?.value;
  }

  /** The bodies of all totals that are remembered. */
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
   * Deletes what is too old, and the oldest while the file is too big; a bounded amount. `exported`: rows up to this
   * id have left the host. Gives how many rows went that had not.
   */
  prune(now: number, exported: number): { readonly deleted: number; readonly unexported: number } {
    this.sincePrune = 0;
    pruneLearned(this.database);
    let deleted = 0;
    let unexported = 0;
    for (let step = 0; step < PRUNE_STEPS; step += 1) {
      const ids = this.bytes() > this.bounds.maxBytes ? this.deleteOldest() : this.deleteBefore(now);
      if (ids.length === 0) break;
      deleted += ids.length;
      unexported += ids.filter(({ id }) => id > exported).length;
    }
    if (deleted > 0) this.database.run("PRAGMA incremental_vacuum");
    return { deleted, unexported };
  }

  [Symbol.dispose](): void {
    this.closeLog();
    this.database.close();
  }

  private closeLog(): void {
    if (this.log !== undefined) closeSync(this.log);
    this.log = undefined;
  }

  private deleteBefore(now: number): { id: number }[] {
    return this.database
      .query<{ id: number }, [number]>(
        `DELETE FROM records WHERE id IN (SELECT id FROM records WHERE time < ? ORDER BY time LIMIT ${PRUNE_ROWS}) RETURNING id`,
      )
      .all(Math.floor(now - this.bounds.maxAgeMs));
  }

  /** A twentieth of the rows at most, so that a small journal is not emptied at once. */
  private deleteOldest(): { id: number }[] {
    return this.database
      .query<{ id: number }, []>(
        `DELETE FROM records WHERE id IN (SELECT id FROM records ORDER BY id
           LIMIT (SELECT min(${PRUNE_ROWS}, (max(id) - min(id)) / 20 + 1) FROM records)) RETURNING id`,
      )
      .all();
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
  completeLearned(database);
  database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  return database;
}

function isUnsound(error: unknown): boolean {
  const codes = ["SQLITE_NOTADB", "SQLITE_CORRUPT"];
  return error instanceof SQLiteError && codes.some((code) => error.code?.startsWith(code) === true);
}

/** Only one such file is kept: whoever can break the journal must not fill the disk by it. */
function setAside(path: string): string {
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
