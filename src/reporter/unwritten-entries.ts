// What the journal could not write yet, for example because the disk is full: kept in memory and in order, so that
// outputs get it meanwhile and nothing is missing if there is room again soon. Bounded: beyond that the oldest entries
// are given up.
import type { SealedUpdate } from "../baseline/learned.ts";
import type { WardenOfRun } from "./journal.ts";

/** Half of what the warden's queue holds: it keeps its copies until they are acknowledged, and needs room for new ones. */
const RECORDS = 2_048;
const BYTES = 4 << 20;

/** A row of the table of records. Its id is assigned before it is written, because outputs may read it before. */
export interface RecordRow extends WardenOfRun {
  readonly id: number;
  readonly n: number;
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly body: string;
  /** Whether it belongs to the share that other records cannot displace. */
  readonly kept: boolean;
}

/** The data of one transaction. */
export interface UnwrittenEntry {
  readonly rows: readonly RecordRow[];
  readonly learned: (WardenOfRun & { readonly updates: readonly SealedUpdate[] }) | undefined;
  readonly memory: Readonly<Record<string, string>>;
  /** The warden's number of its first record or update; undefined if it has none. */
  readonly from: NumberOfWarden | undefined;
}

/** A number in the sequence of one warden. */
export interface NumberOfWarden extends WardenOfRun {
  readonly n: number;
}

/** Entries that were given up. */
export interface GivenUp {
  readonly rows: readonly RecordRow[];
  /** Records and updates of the learner. */
  readonly count: number;
  /** The first number; undefined if nothing was given up. */
  readonly from: NumberOfWarden | undefined;
}

export class UnwrittenEntries {
  private entries: UnwrittenEntry[] = [];
  private records = 0;
  private bytes = 0;

  /** The entry that must be written next. */
  get first(): UnwrittenEntry | undefined {
    return this.entries[0];
  }

  add(entry: UnwrittenEntry): void {
    this.entries.push(entry);
    this.records += countOf(entry);
    this.bytes += bytesOf(entry);
  }

  /** Removes the first entry, which was written. */
  shift(): UnwrittenEntry | undefined {
    const entry = this.entries.shift();
    if (entry === undefined) return undefined;
    this.records -= countOf(entry);
    this.bytes -= bytesOf(entry);
    return entry;
  }

  /** The rows after `id`, oldest first. */
  *rowsAfter(id: number): Generator<RecordRow> {
    for (const { rows } of this.entries) for (const row of rows) if (row.id > id) yield row;
  }

  /** The first number of this warden that is not written; undefined if there is none. */
  firstOf(generation: number): number | undefined {
    return this.entries.find(({ from }) => from?.generation === generation)?.from?.n;
  }

  /** The number of records and updates that wait, of all wardens or of one. */
  count(generation?: number): number {
    if (generation === undefined) return this.records;
    let count = 0;
    for (const entry of this.entries) if (entry.from?.generation === generation) count += countOf(entry);
    return count;
  }

  /** Gives every row a new id, because they will be written to a new file. */
  renumber(nextId: () => number): void {
    this.entries = this.entries.map((entry) => ({
      ...entry,
      rows: entry.rows.map((row) => ({ ...row, id: nextId() })),
    }));
  }

  /** Removes the oldest entries beyond the limits. The last entry always stays. */
  giveUpExcess(): GivenUp {
    const rows: RecordRow[] = [];
    let count = 0;
    let from: NumberOfWarden | undefined;
    while (this.entries.length > 1 && (this.records > RECORDS || this.bytes > BYTES)) {
      const entry = this.shift();
      if (entry === undefined) break;
      from ??= entry.from;
      count += countOf(entry);
      rows.push(...entry.rows);
    }
    return { rows, count, from };
  }
}

function countOf({ rows, learned }: UnwrittenEntry): number {
  return rows.length + (learned?.updates.length ?? 0);
}

function bytesOf({ rows, learned }: UnwrittenEntry): number {
  const learnedBytes = learned === undefined ? 0 : JSON.stringify(learned.updates).length;
  return rows.reduce((sum, { body }) => sum + body.length, learnedBytes);
}
