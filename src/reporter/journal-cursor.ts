// One output's way through the journal: which rows it was given, when it gets the next, and what happens when it does not
// take them, when the journal was replaced, and at the end.
import type { EventRecord } from "../report/event-record.ts";
import { messageOf } from "../vocabulary/errors.ts";
import type { Journal } from "./journal.ts";
import type { JournalRow } from "./journal-reader.ts";
import type { Batch, Delivery, JournalOutput } from "./output.ts";

export interface JournalCursorOptions {
  readonly journal: Journal;
  readonly output: JournalOutput;
  /** Applied to each record: what an earlier configuration let into the journal does not leave under a stricter one. */
  readonly redact: (record: EventRecord) => EventRecord;
  /** A delivery did not succeed. */
  readonly onFailure: (why: string) => void;
  /** Records that the output will never get. */
  readonly onDrop: (count: number) => void;
  /** The journal could not be read or written; it may have been replaced when this returns. */
  readonly onJournalError: (error: unknown) => void;
  /** Shortest wait after a failure, ms; tests wait less. */
  readonly retryMs?: number;
}

/** Rows read at a time, and their JSON. */
const PAGE_ROWS = 512;
const PAGE_BYTES = 2 << 20;
/** Best-effort records that may wait. */
const BEST_EFFORT_LIMIT = 4_096;
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;
/** Rows without an accepted record that are read again after a kill -9, at most. */
const REMEMBER_EVERY = 1_000;

export class JournalCursor {
  private readonly options: JournalCursorOptions;
  /** Rows up to this id were delivered, or are not for this output. */
  private position: number;
  /** Names in the journal's memory: the position, and when the last delivery began (ms since the epoch). */
  private readonly positionName: string;
  private readonly attemptName: string;
  private rememberedPosition = -1;
  /** The file that `position` belongs to, and the newest row that was seen in it. */
  private replacements: number;
  private newestSeen: number;
  private attemptedAt: number;

  private bestEffort: EventRecord[] = [];
  /** Rows in a batch: fewer after one that was too large. */
  private maxRows: number;
  private retryMs = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private delivering: Promise<void> | undefined;
  /** No delivery begins by itself any more. */
  private stopped = false;
  private closed = false;

  /**
   * An output that is new to this journal gets what is written from now on, not the past. Throws if the journal cannot be
   * read.
   */
  constructor(options: JournalCursorOptions) {
    const { journal, output } = options;
    this.options = options;
    this.positionName = `${output.position}.position`;
    this.attemptName = `${output.position}.attempted`;
    this.maxRows = output.pacing.maxRows;
    this.replacements = journal.replacements;
    const stored = Number(journal.recall(this.positionName) ?? Number.NaN);
    const newest = journal.newest();
    this.position = Number.isSafeInteger(stored) && stored <= newest ? stored : newest;
    this.newestSeen = newest;
    this.attemptedAt = Number(journal.recall(this.attemptName)) || 0;
    this.remember(this.position);
    if (this.position < newest) this.schedule();
  }

  get takesBestEffort(): boolean {
    return this.options.output.takesBestEffort;
  }

  /** Rows up to this id need not stay in the journal for this output. */
  get delivered(): number {
    return this.isCurrent ? this.position : 0;
  }

  /** These records were written to the journal. Never throws. */
  onAppended(records: readonly EventRecord[]): void {
    try {
      // What is being delivered belongs to the file that it was read from.
      if (this.delivering === undefined) this.followJournal();
      if (this.isCurrent) this.newestSeen = this.options.journal.newest();
      if (this.isActive || this.stopped) return;
      if (records.some((record) => this.options.output.accepts(record))) {
        this.schedule();
        return;
      }
      // All before them was delivered, or a delivery would be under way: nothing has to be read.
      this.position = this.newestSeen;
      if (this.position - this.rememberedPosition >= REMEMBER_EVERY) this.remember(this.position);
    } catch (error) {
      this.onJournalError(error);
    }
  }

  /** A record that is not in the journal. */
  addBestEffort(record: EventRecord): void {
    if (!this.options.output.takesBestEffort) return;
    if (this.bestEffort.length >= BEST_EFFORT_LIMIT) {
      this.options.onDrop(1);
      return;
    }
    this.bestEffort.push(record);
    this.schedule();
  }

  /** A row was deleted from the journal: too old, or there was no room. */
  onDeleted({ id, record }: JournalRow): void {
    if (id > this.delivered && this.options.output.accepts(record)) this.options.onDrop(1);
  }

  /** The reporter will end soon. An output that delivers nothing at the end begins no delivery from now on. */
  prepareEnd(): void {
    if (!this.options.output.pacing.deliversAtEnd) this.stop();
  }

  private stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Waits for a delivery that is under way, then delivers what is left if the output wants that: for at most `ms`. */
  async end(ms: number): Promise<void> {
    this.stop();
    await Promise.race([this.finish(), Bun.sleep(ms)]);
    // What a late answer says is not remembered: the records come again after the next start.
    this.closed = true;
    if (this.position === this.rememberedPosition || !this.isCurrent) return;
    try {
      this.remember(this.position);
    } catch (error) {
      this.options.onJournalError(error);
    }
  }

  private async finish(): Promise<void> {
    await this.delivering;
    if (!this.options.output.pacing.deliversAtEnd || !this.hasWaiting()) return;
    do await this.run();
    while (!this.closed && this.retryMs === 0 && this.hasWaiting());
  }

  private get isActive(): boolean {
    return this.timer !== undefined || this.delivering !== undefined;
  }

  /** `position` is one in the present file of the journal. */
  private get isCurrent(): boolean {
    return this.replacements === this.options.journal.replacements;
  }

  private hasWaiting(): boolean {
    if (this.bestEffort.length > 0) return true;
    try {
      this.followJournal();
      return this.options.journal.newest() > this.position;
    } catch (error) {
      this.onJournalError(error);
      return true;
    }
  }

  /**
   * In a journal that replaced a broken one ids begin at 1 again, and every row is new. Rows of the broken one that were
   * not delivered are lost; which of them were for this output cannot be read any more, so all of them count.
   */
  private followJournal(): void {
    const { journal, onDrop } = this.options;
    if (this.isCurrent) return;
    this.replacements = journal.replacements;
    const lost = this.newestSeen - this.position;
    if (lost > 0) onDrop(lost);
    this.newestSeen = 0;
    this.remember(0);
  }

  /** `gatherMs`: 0 for records that have waited already. */
  private schedule(gatherMs = this.options.output.pacing.gatherMs): void {
    if (this.stopped || this.isActive) return;
    const { intervalMs } = this.options.output.pacing;
    // Not longer than the interval, also after the clock was set back.
    const pause = Math.min(intervalMs, this.attemptedAt + intervalMs - Date.now());
    this.timer = setTimeout(() => void this.run(), Math.max(gatherMs, pause, this.retryMs));
  }

  /** One delivery. Never rejects. */
  private async run(): Promise<void> {
    this.timer = undefined;
    this.delivering = this.deliverNext().catch((error: unknown) => this.onJournalError(error));
    await this.delivering;
    this.delivering = undefined;
    if (!this.stopped && this.hasWaiting()) this.schedule(0);
  }

  private async deliverNext(): Promise<void> {
    this.followJournal();
    const { output, onFailure, onDrop } = this.options;
    const batch = new JournalBatch(this.options, this.position, this.maxRows, this.bestEffort);
    if (!(await batch.findFirst())) {
      this.retryMs = 0;
      this.advance(batch.position);
      return;
    }
    this.beginAttempt();
    const result = await this.deliver(batch);
    if (result.outcome !== "delivered") {
      onFailure(result.why);
      if (result.outcome === "failed") {
        this.backOff();
        return;
      }
      if (result.outcome === "too large" && batch.count > 1) {
        this.maxRows = Math.ceil(batch.count / 2);
        this.retryMs = 0;
        return;
      }
      onDrop(batch.count);
    }
    this.retryMs = 0;
    this.maxRows = Math.min(output.pacing.maxRows, this.maxRows * 2);
    this.bestEffort.splice(0, batch.bestEffortCount);
    this.advance(batch.position);
  }

  /** A fault in an output is a failed delivery; one in reading the journal for it is not. */
  private async deliver(batch: JournalBatch): Promise<Delivery> {
    try {
      return await this.options.output.deliver(batch);
    } catch (error) {
      if (batch.journalError !== undefined) throw batch.journalError;
      return { outcome: "failed", why: messageOf(error) };
    }
  }

  private beginAttempt(): void {
    if (this.options.output.pacing.intervalMs === 0) return;
    this.attemptedAt = Date.now();
    this.options.journal.remember({ [this.attemptName]: String(this.attemptedAt) });
  }

  private advance(position: number): void {
    if (this.closed) return;
    if (this.isCurrent) this.remember(position);
    // The file was replaced meanwhile: rows of it that were delivered do not count as lost.
    else this.position = position;
  }

  private remember(position: number): void {
    this.position = position;
    this.options.journal.remember({ [this.positionName]: String(position) });
    this.rememberedPosition = position;
  }

  private onJournalError(error: unknown): void {
    if (this.closed) return;
    this.options.onJournalError(error);
    this.backOff();
    this.schedule();
  }

  /** Up to half as long again at random, so that a fleet does not come back all at once. */
  private backOff(): void {
    const shortest = this.options.retryMs ?? RETRY_MS;
    const next = Math.min(LONGEST_RETRY_MS, Math.max(shortest, this.retryMs * 1.5));
    this.retryMs = next * (1 + Math.random() / 2);
  }
}

/** The rows after a position, read while they are iterated over, with best-effort records behind them. */
class JournalBatch implements Batch {
  /** Rows up to this id were read. */
  position: number;
  passedOver = 0;
  /** Records handed over. */
  count = 0;
  bestEffortCount = 0;
  /** Why a page could not be read. */
  journalError: unknown;
  private readonly options: JournalCursorOptions;
  private readonly maxRows: number;
  private readonly bestEffort: readonly EventRecord[];
  private readonly newest: number;
  /** Accepted records of the last page. */
  private page: EventRecord[] = [];
  private rows = 0;
  private bytes = 0;

  /** Covers the rows that exist now. Throws if the journal cannot be read. */
  constructor(
    options: JournalCursorOptions,
    position: number,
    maxRows: number,
    bestEffort: readonly EventRecord[],
  ) {
    this.options = options;
    this.position = position;
    this.maxRows = maxRows;
    this.bestEffort = bestEffort;
    this.newest = options.journal.newest();
  }

  /** Reads up to the first accepted record. False if there is nothing to deliver. Rejects if the journal cannot be read. */
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
      yield* this.page;
      this.page = [];
      await letOthersRun();
    } while (this.readPage());
    this.endOfRows();
    const room = Math.max(0, this.maxRows - this.count);
    const extra = this.bestEffort.slice(0, room);
    this.bestEffortCount = extra.length;
    this.count += extra.length;
    yield* extra;
  }

  /** False if there is no further row, or no room for one. */
  private readPage(): boolean {
    const { output, redact } = this.options;
    const rowsLeft = this.maxRows - this.rows;
    const bytesLeft = output.pacing.maxBytes - this.bytes;
    if (this.position >= this.newest || rowsLeft <= 0 || bytesLeft <= 0) return false;
    const rows = this.rowsAfter(Math.min(PAGE_ROWS, rowsLeft), Math.min(PAGE_BYTES, bytesLeft));
    for (const { record, size } of rows) {
      if (output.accepts(record)) this.page.push(redact(record));
      this.bytes += size;
    }
    this.rows += rows.length;
    // Rows that were deleted meanwhile leave no gap to wait for.
    this.position = rows.at(-1)?.id ?? this.newest;
    return true;
  }

  private rowsAfter(limit: number, bytes: number): ReturnType<Journal["after"]> {
    try {
      return this.options.journal.after(this.position, limit, bytes);
    } catch (error) {
      this.journalError = error;
      throw error;
    }
  }

  /** The rows that this batch passes over because it is full; they count as read. */
  private endOfRows(): number {
    if (this.options.output.pacing.rest === "passed over" && this.position < this.newest) {
      this.passedOver = this.newest - this.position;
      this.position = this.newest;
    }
    return this.passedOver;
  }
}

/** What the warden sends, and scrapes, wait for no reading of the journal. */
function letOthersRun(): Promise<void> {
  return Bun.sleep(0);
}
