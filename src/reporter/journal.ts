// The journal stores reliable records, learned trees and the reporter's own state. Only the reporter writes it. Records
// are durable before they are acknowledged, but a write does not wait for the disk, which may take seconds to sync:
// outputs get the records meanwhile. What cannot be written at all, on a full disk say, waits in memory, and outputs get
// that too.
import type { Database } from "bun:sqlite";
import { closeSync, fdatasync, openSync } from "node:fs";
import type { SealedUpdate } from "../baseline/learned.ts";
import { type EventRecord, parseRecord } from "../report/event-record.ts";
import type { CumulativeRow } from "./cumulative-totals.ts";
import { canOpen, isOfDisk, isUnsound, openDatabase, quarantineFile } from "./journal-file.ts";
import { type JournalRow, parseJournalRecord } from "./journal-reader.ts";
import { timeOfRecord } from "./journal-schema.ts";
import { isKeptRecord } from "./kept-records.ts";
import { pruneLearned, writeLearned } from "./learned-table.ts";
import { RecentRows } from "./recent-rows.ts";
import {
  type GivenUp,
  type NumberOfWarden,
  type RecordRow,
  UnwrittenEntries,
  type UnwrittenEntry,
} from "./unwritten-entries.ts";

export interface SizedRow extends JournalRow {
  /** The length of the record as JSON. */
  readonly size: number;
  /** Whether this process has appended it, so that it was redacted by the configuration in force. */
  readonly isOwn: boolean;
}

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
  /** The same records as JSON, as far as that is at hand. */
  readonly texts?: readonly (string | undefined)[];
}

/** The data of one transaction. */
export interface JournalEntry {
  readonly records: readonly NumberedRecords[];
  readonly learned?: WardenOfRun & { readonly updates: readonly SealedUpdate[] };
  /** Names and values for `recall`. */
  readonly memory?: Readonly<Record<string, string>>;
  /** The warden's number of the first record or update. */
  readonly from?: NumberOfWarden;
}

/** Resolves when the file's data are on the disk. */
function dataSynced(fd: number): Promise<void> {
  return new Promise((resolve, reject) =>
    fdatasync(fd, (error) => (error === null || error === undefined ? resolve() : reject(error))),
  );
}

/** Limits of one pruning: rows per statement, which blocks the reporter, and statements. */
const PRUNE_ROWS = 1_000;
const PRUNE_STEPS = 10;
/** The number of written rows after which the bounds are checked again. */
const PRUNE_EVERY = 500;

/** The share of the file for records that others cannot displace, see kept-records.ts. */
const KEPT_SHARE = 1 / 4;
/** The name in the memory of the bytes of such records. */
const KEPT_BYTES = "kept.bytes";
/** A name for a write that only shows whether the file can be written. */
const PROBE = "probe";
/** The wait after a write that failed before records that arrive try another one, ms. */
const RETRY_MS = 1_000;

/** `body` is null for a row that was already delivered; `bytes` is its length. */
interface DeletedRow {
  readonly id: number;
  readonly body: string | null;
  readonly bytes: number;
  readonly kept: number;
}

const RETURNING_DELETED =
  "RETURNING id, iif(id > ?, body, NULL) AS body, length(CAST(body AS BLOB)) AS bytes, kept";

export class Journal implements Disposable {
  private readonly path: string;
  private readonly bounds: JournalBounds;
  private database: Database;
  /** The number of rows written since the bounds were checked. */
  private sincePrune = 0;
  /** The descriptor of the write-ahead log, opened at the first sync. */
  private log: number | undefined;
  private readonly unwritten = new UnwrittenEntries();
  /** Undefined unless an output wants them. */
  private recent: RecentRows | undefined;
  /** The id of the last row, written or not. */
  private lastId: number;
  /** The id of the last row that an earlier process has written. */
  private lastForeignId: number;
  private keptBytes: number;
  private failedAt = Number.NEGATIVE_INFINITY;
  /** The error of the last write; undefined if it succeeded. */
  failure: unknown;
  /**
   * The database is in memory, because the disk was too full to open the file. It has positions and totals, but no
   * records: these wait to be written, and are given up if they become too much.
   */
  private readonly isStandIn: boolean = false;
  /** Whether the file can be opened by now, in place of a database in memory. */
  canBeOpened = false;
  /** The path to which a broken file was moved, if any. */
  quarantine: string | undefined;
  /** The number of broken files that were replaced. In each new file row ids start at 1 again. */
  replacements = 0;

  /**
   * Opens or creates the file. A broken database is moved away first; a disk that is too full to open it is a failure
   * of writing. Throws if the file cannot be used.
   */
  constructor(path: string, bounds: JournalBounds) {
    this.path = path;
    this.bounds = bounds;
    try {
      this.database = openDatabase(path);
    } catch (error) {
      if (isUnsound(error)) {
        this.quarantine = quarantineFile(path);
        this.database = openDatabase(path);
      } else if (isOfDisk(error)) {
        this.isStandIn = true;
        this.onFailure(error);
        this.database = openDatabase(":memory:");
      } else throw error;
    }
    this.lastId = this.lastWrittenId();
    this.lastForeignId = this.lastId;
    this.keptBytes = Number(this.recall(KEPT_BYTES)) || 0;
  }

  /** From now on, rows are kept in memory for a while, for outputs that read them soon. */
  keepRecent(): void {
    this.recent ??= new RecentRows();
  }

  /** No output reads the rows up to `id` again soon. */
  forgetRecent(id: number): void {
    this.recent?.forgetUpTo(id);
  }

  /** Starts a new file if `error`, thrown by another method, means that this one is broken; true if so. */
  replaceIfBroken(error: unknown): boolean {
    if (!isUnsound(error)) return false;
    this.closeLog();
    this.database.close();
    this.quarantine = quarantineFile(this.path);
    this.database = openDatabase(this.path);
    this.replacements += 1;
    this.lastId = 0;
    this.lastForeignId = 0;
    this.keptBytes = 0;
    this.unwritten.renumber(() => this.nextId());
    this.recent?.clear();
    this.failedAt = Number.NEGATIVE_INFINITY;
    return true;
  }

  /** False if the last write failed. */
  get isWritable(): boolean {
    return this.failure === undefined;
  }

  /**
   * Writes the entry; false if it waits in memory because the file cannot be written (`failure`). Numbers that are
   * already present are skipped. Durable after the next `sync`.
   */
  append({ records, learned, memory = {}, from }: JournalEntry): boolean {
    const rows = records.flatMap(({ run, generation, first, records: numbered, texts }) =>
      numbered.map((record, i) => this.rowOf({ run, generation, n: first + i }, record, texts?.[i])),
    );
    this.unwritten.add({ rows, learned, memory, from });
    const isWaiting = !this.isWritable && performance.now() - this.failedAt < RETRY_MS;
    return !isWaiting && this.writeUnwritten();
  }

  /** Tries to write what waits; false if some of it still cannot be written. */
  writeUnwritten(): boolean {
    if (this.isStandIn) {
      this.canBeOpened = canOpen(this.path);
      return false;
    }
    try {
      if (this.unwritten.first === undefined && !this.isWritable) this.remember({ [PROBE]: "" });
      for (let entry = this.unwritten.first; entry !== undefined; entry = this.unwritten.first) {
        this.write(entry);
        this.unwritten.shift();
      }
      this.failure = undefined;
      return true;
    } catch (error) {
      this.onFailure(error);
      return false;
    }
  }

  /** Gives up the oldest of what waits if it has become too much. */
  giveUpExcess(): GivenUp {
    return this.unwritten.giveUpExcess();
  }

  /** The first number of this warden that waits to be written; undefined if there is none. */
  firstUnwritten(generation: number): number | undefined {
    return this.unwritten.firstOf(generation);
  }

  /** The number of records and updates that wait to be written, of all wardens or of one. */
  unwrittenCount(generation?: number): number {
    return this.unwritten.count(generation);
  }

  private write({ rows, learned, memory }: UnwrittenEntry): void {
    const insert = this.database.query<void, [number, string, number, number, number, string, number]>(
      "INSERT OR IGNORE INTO records (id, run, generation, n, time, body, kept) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    let keptBytes = this.keptBytes;
    const write = this.database.transaction(() => {
      for (const { id, run, generation, n, time, body, kept } of rows) {
        insert.run(id, run, generation, n, time, body, kept ? 1 : 0);
        if (kept) keptBytes += Buffer.byteLength(body);
      }
      if (learned !== undefined)
        for (const update of learned.updates) writeLearned(this.database, learned, update);
      this.put(keptBytes === this.keptBytes ? memory : { ...memory, [KEPT_BYTES]: String(keptBytes) });
    });
    write.immediate();
    this.keptBytes = keptBytes;
    this.sincePrune += rows.length + (learned?.updates.length ?? 0);
  }

  private rowOf(
    { run, generation, n }: NumberOfWarden,
    record: EventRecord,
    body = JSON.stringify(record),
  ): RecordRow {
    const id = this.nextId();
    this.recent?.add({ id, record, size: body.length, isOwn: true });
    return { id, run, generation, n, time: timeOfRecord(record), body, kept: isKeptRecord(record) };
  }

  private nextId(): number {
    this.lastId += 1;
    return this.lastId;
  }

  private onFailure(error: unknown): void {
    this.failure = error;
    this.failedAt = performance.now();
  }

  /** Resolves when everything that was written before the call survives power loss. */
  async sync(): Promise<void> {
    if (this.isStandIn) return;
    // Every commit is in the log until a checkpoint, which syncs by itself, has copied it. SQLite holds its locks on
    // another file, so closing this descriptor releases none of them.
    this.log ??= openSync(`${this.path}-wal`, "r");
    await dataSynced(this.log);
  }

  /** Whether enough was written to check the bounds again. */
  get wantsPrune(): boolean {
    return this.sincePrune >= PRUNE_EVERY;
  }

  /**
   * Rows after `id`, those that wait to be written included, oldest first, up to `limit` of them and about `bytes`
   * together (at least one if there is any).
   */
  after(id: number, limit: number, bytes: number): readonly SizedRow[] {
    const recent = this.recent?.after(id, limit, bytes);
    if (recent !== undefined) return recent;
    const rows: SizedRow[] = [];
    let size = 0;
    const query = this.database.query<{ id: number; body: string }, [number, number]>(
      "SELECT id, body FROM records WHERE id > ? ORDER BY id LIMIT ?",
    );
    for (const row of query.iterate(id, limit)) {
      rows.push(this.sizedRow(row));
      size += row.body.length;
      if (size > bytes) return rows;
    }
    for (const row of this.unwritten.rowsAfter(id)) {
      if (rows.length >= limit || size > bytes) break;
      rows.push(this.sizedRow(row));
      size += row.body.length;
    }
    return rows;
  }

  /** A row that is no record, because somebody has changed the file, is an empty one. */
  private sizedRow({ id, body }: { readonly id: number; readonly body: string }): SizedRow {
    return { id, record: parseRecord(body) ?? {}, size: body.length, isOwn: id > this.lastForeignId };
  }

  /** The id of the last row that there ever was, written or not; 0 if there is none. */
  newest(): number {
    return this.lastId;
  }

  /** The id of the first row that there still is, written or not; that of the next one if there is none. */
  oldest(): number {
    const row = this.database.query<{ id: number | null }, []>("SELECT min(id) AS id FROM records").get();
    const [unwritten] = this.unwritten.rowsAfter(0);
    return row?.id ?? unwritten?.id ?? this.lastId + 1;
  }

  private lastWrittenId(): number {
    const row = this.database
      .query<{ seq: number }, []>("SELECT seq FROM sqlite_sequence WHERE name = 'records'")
      .get();
    return row?.seq ?? 0;
  }

  /** Writes names with values for `recall`, and totals, in one transaction. Throws if the file cannot be written. */
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
    try {
      write.immediate();
    } catch (error) {
      this.onFailure(error);
      throw error;
    }
    if (this.unwritten.first === undefined && !this.isStandIn) this.failure = undefined;
  }

  /** The value that `remember` stored under this name in this file. */
  recall(name: string): string | undefined {
    return this.database
      .query<{ value: string }, [string]>("SELECT value FROM memory WHERE name = ?")
      .get(name)?.value;
  }

  /** Values of all names that begin with `prefix`, by the rest of their names. */
  recallAll(prefix: string): ReadonlyMap<string, string> {
    const rows = this.database
      .query<{ name: string; value: string }, [string]>(
        "SELECT name, value FROM memory WHERE substr(name, 1, length(?1)) = ?1",
      )
      .all(prefix);
    return new Map(rows.map(({ name, value }) => [name.slice(prefix.length), value]));
  }

  /** The bodies of all stored totals. */
  totals(): string[] {
    return this.database
      .query<{ body: string }, []>("SELECT body FROM totals")
      .all()
      .map(({ body }) => body);
  }

  /** Forgets all totals, and all names that begin with `prefix`, in one transaction. Throws if the file cannot be written. */
  forgetTotals(prefix: string): void {
    const forget = this.database.transaction(() => {
      this.database.run("DELETE FROM totals");
      this.database.run("DELETE FROM memory WHERE substr(name, 1, length(?1)) = ?1", [prefix]);
    });
    forget.immediate();
  }

  /**
   * Deletes a bounded number of rows: those that are too old, and the oldest while the file is too large, where kept
   * records are spared as long as they fit into their share. Calls `onUndelivered` for each deleted row with an id greater than `delivered`. Returns the number of deleted rows.
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
      for (const { id, body, bytes, kept } of rows) {
        if (kept === 1) this.keptBytes = Math.max(0, this.keptBytes - bytes);
        if (body !== null) onUndelivered({ id, record: parseJournalRecord(body) });
      }
    }
    if (deleted > 0) this.remember({ [KEPT_BYTES]: String(this.keptBytes) });
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

  /**
   * Deletes the records before the first one that is young enough, in the order of their ids: records are not in the order
   * of their times, and a gap between those that stay would look like records that somebody has removed. A record with
   * a time in the future, from before the clock was set, does not keep older ones.
   */
  private deleteBefore(now: number, delivered: number): DeletedRow[] {
    return this.database
      .query<DeletedRow, [number, number, number]>(
        `WITH oldest AS MATERIALIZED (SELECT id, time FROM records ORDER BY id LIMIT ${PRUNE_ROWS})
         DELETE FROM records WHERE id <= (SELECT max(id) FROM oldest WHERE time < ?1 AND id <
           ifnull((SELECT min(id) FROM oldest WHERE time BETWEEN ?1 AND ?2), ${Number.MAX_SAFE_INTEGER}))
         ${RETURNING_DELETED}`,
      )
      .all(Math.floor(now - this.bounds.maxAgeMs), Math.ceil(now), delivered);
  }

  private deleteOldest(delivered: number): DeletedRow[] {
    const isKeptFull = this.keptBytes > this.bounds.maxBytes * KEPT_SHARE;
    const common = isKeptFull ? [] : this.deleteOldestOf("kept = 0", delivered);
    return common.length > 0 ? common : this.deleteOldestOf("true", delivered);
  }

  /** Deletes at most a twentieth of these rows, so that a small journal is not emptied at once. */
  private deleteOldestOf(which: "kept = 0" | "true", delivered: number): DeletedRow[] {
    const end = (direction: "ASC" | "DESC"): string =>
      `(SELECT id FROM records WHERE ${which} ORDER BY id ${direction} LIMIT 1)`;
    return this.database
      .query<DeletedRow, [number]>(
        `DELETE FROM records WHERE id IN (SELECT id FROM records WHERE ${which} ORDER BY id
           LIMIT ifnull(min(${PRUNE_ROWS}, (${end("DESC")} - ${end("ASC")}) / 20 + 1), 0))
         ${RETURNING_DELETED}`,
      )
      .all(delivered);
  }

  private put(memory: Readonly<Record<string, string>>): void {
    const put = this.database.query<void, [string, string]>("INSERT OR REPLACE INTO memory VALUES (?, ?)");
    for (const [name, value] of Object.entries(memory)) put.run(name, value);
  }

  /** What the file's tables occupy: its limit applies to this. */
  bytes(): number {
    const used = this.database
      .query<{ bytes: number }, []>(
        "SELECT (page_count - freelist_count) * page_size AS bytes FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
      )
      .get();
    return used?.bytes ?? 0;
  }
}
