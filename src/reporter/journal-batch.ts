// A batch for an output: rows of the journal, read page by page while the output iterates over them.
import type { EventRecord } from "../report/event-record.ts";
import type { Journal } from "./journal.ts";
import type { Batch, JournalOutput } from "./output.ts";

export interface BatchSource {
  readonly journal: Journal;
  readonly output: JournalOutput;
  /** Applied to records of an earlier process, whose configuration may have been less strict. */
  readonly redact: (record: EventRecord) => EventRecord;
}

/** Limits of one page: rows, and bytes of their JSON. */
const PAGE_ROWS = 512;
const PAGE_BYTES = 2 << 20;

/** A batch of one record, which need not be in the journal. */
export function batchOf(record: EventRecord): Batch {
  return { records: asynchronously([record]), passedOver: 0 };
}

async function* asynchronously(records: readonly EventRecord[]): AsyncGenerator<EventRecord> {
  yield* records;
}

/** The rows after a position, read during iteration, followed by best-effort records. */
export class JournalBatch implements Batch {
  /** Rows up to this id were read. */
  position: number;
  passedOver = 0;
  /** The number of records that the output received. */
  count = 0;
  /** The last of them. */
  last: EventRecord | undefined;
  bestEffortCount = 0;
  /** The length of the rows as JSON. */
  bytes = 0;
  /** The error if a page could not be read. */
  journalError: unknown;
  private readonly source: BatchSource;
  private readonly limit: { readonly rows: number; readonly bytes: number };
  private readonly bestEffort: readonly EventRecord[];
  private readonly newest: number;
  /** Accepted records of the last page. */
  private page: EventRecord[] = [];
  private rows = 0;

  /** Covers the rows that exist now. Throws if the journal cannot be read. */
  constructor(
    source: BatchSource,
    position: number,
    limit: { readonly rows: number; readonly bytes: number },
    bestEffort: readonly EventRecord[],
  ) {
    this.source = source;
    this.position = position;
    this.limit = { rows: limit.rows, bytes: limit.bytes };
    this.bestEffort = bestEffort;
    this.newest = source.journal.newest();
  }

  /**
   * Reads up to the first accepted record. False if there is nothing to deliver. Rejects if the journal cannot be read.
   */
  async findFirst(): Promise<boolean> {
    while (this.page.length === 0 && this.readPage()) await letOthersRun();
    return this.page.length > 0 || this.bestEffort.length > 0 || this.endOfRows() > 0;
  }

  get records(): AsyncIterable<EventRecord> {
    return this.iterate();
  }

  private async *iterate(): AsyncGenerator<EventRecord> {
    do {
      this.count += this.page.length;
      this.last = this.page.at(-1) ?? this.last;
      yield* this.page;
      this.page = [];
      await letOthersRun();
    } while (this.readPage());
    this.endOfRows();
    const room = Math.max(0, this.limit.rows - this.count);
    const extra = this.bestEffort.slice(0, room);
    this.bestEffortCount = extra.length;
    this.count += extra.length;
    this.last = extra.at(-1) ?? this.last;
    yield* extra;
  }

  /** Reads the next page. False if there are no further rows or the batch is full. */
  private readPage(): boolean {
    const { output, redact } = this.source;
    const rowsLeft = this.limit.rows - this.rows;
    const bytesLeft = this.limit.bytes - this.bytes;
    if (this.position >= this.newest || rowsLeft <= 0 || bytesLeft <= 0) return false;
    const rows = this.rowsAfter(Math.min(PAGE_ROWS, rowsLeft), Math.min(PAGE_BYTES, bytesLeft));
    for (const { record, size, isOwn } of rows) {
      if (output.accepts(record)) this.page.push(isOwn ? record : redact(record));
      this.bytes += size;
    }
    this.rows += rows.length;
    // Without rows the remaining ones were deleted meanwhile, so the batch is at its end.
    this.position = rows.at(-1)?.id ?? this.newest;
    return true;
  }

  private rowsAfter(limit: number, bytes: number): ReturnType<Journal["after"]> {
    try {
      return this.source.journal.after(this.position, limit, bytes);
    } catch (error) {
      this.journalError = error;
      throw error;
    }
  }

  /** Passes over the rows beyond a full batch if the output wants that. Returns their number. */
  private endOfRows(): number {
    if (this.source.output.pacing.rest === "passed over" && this.position < this.newest) {
      this.passedOver = this.newest - this.position;
      this.position = this.newest;
    }
    return this.passedOver;
  }
}

/** Yields to the event loop, so that reading the journal delays neither the warden's packets nor scrapes. */
function letOthersRun(): Promise<void> {
  return Bun.sleep(0);
}
