// The cursor of one output in the journal: its position, the times of its deliveries, retries after failures, and what
// happens when the journal is replaced and at shutdown.
import type { EventRecord } from "../report/event-record.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { BatchLimit } from "./batch-limit.ts";
import { type BatchSource, batchOf, JournalBatch } from "./journal-batch.ts";
import type { JournalRow } from "./journal-reader.ts";
import type { Batch, Delivery } from "./output.ts";

/** Reliable records that an output will never get. */
export interface ExportLoss {
  readonly missing: number;
  /** `not_exported`: they left the journal before. `rejected`: the destination refused them. */
  readonly reason: "not_exported" | "rejected";
  /** The uid of a record that was refused alone. */
  readonly uid?: string;
}

export interface JournalCursorOptions extends BatchSource {
  /** Called for each failed delivery. */
  readonly onFailure: (why: string) => void;
  /** Called with the number of best-effort records that the output will never get. */
  readonly onDrop: (count: number) => void;
  readonly onLoss: (loss: ExportLoss) => void;
  /** Makes the record that reports a loss. */
  readonly lossRecord: (loss: ExportLoss) => EventRecord;
  /** Called for a loss whose record the output has already. */
  readonly onReportedLoss: (loss: ExportLoss, record: EventRecord) => void;
  /** Called if the journal could not be read or written. It may replace the journal. */
  readonly onJournalError: (error: unknown) => void;
  /** Called when rows were delivered. */
  readonly onDelivered?: () => void;
  /** The shortest wait after a failure, ms. Tests use a shorter one. */
  readonly retryMs?: number;
}

/** The most best-effort records in the queue. */
const BEST_EFFORT_LIMIT = 4_096;
const RETRY_MS = 1_000;
/** A collector that is back has everything soon, and many hosts at once do not trouble one that is down. */
const LONGEST_RETRY_MS = 30_000;
/** The most records that are given up, without one that is taken in between, before a pause. */
const GIVEN_UP_IN_A_ROW = 16;
/** The most rows without an accepted record that are read again after a kill -9. */
const REMEMBER_EVERY = 1_000;

export class JournalCursor {
  private readonly options: JournalCursorOptions;
  /** Rows up to this id were delivered or are not for this output. */
  private position: number;
  /** The names in the journal's memory of the position and of the start of the last delivery (ms since the epoch). */
  private readonly positionName: string;
  private readonly attemptName: string;
  private rememberedPosition = -1;
  /** The file to which `position` belongs (`Journal.replacements`), and the newest row that was seen in it. */
  private replacements: number;
  private newestSeen: number;
  private attemptedAt: number;

  private bestEffort: EventRecord[] = [];
  private readonly limit: BatchLimit;
  /** The wait before the next delivery, which grows with each failure; 0 after a success. */
  private retryMs = 0;
  /** No delivery starts before this time, because the destination demands it (performance.now()). */
  private notBefore = 0;
  private givenUpInARow = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the timer waits for further records, and for nothing else. */
  private gathers = false;
  private delivering: Promise<void> | undefined;
  /** True if no delivery may start by itself any more. */
  private stopped = false;
  private closed = false;

  /**
   * An output that is new to this journal gets only the rows that are written from now on. Throws if the journal cannot
   * be read.
   */
  constructor(options: JournalCursorOptions) {
    const { journal, output } = options;
    this.options = options;
    this.positionName = `${output.position}.position`;
    this.attemptName = `${output.position}.attempted`;
    this.limit = new BatchLimit({ rows: output.pacing.maxRows, bytes: output.pacing.maxBytes });
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

  /** Whether it delivers records as they come. */
  get isContinuous(): boolean {
    return this.options.output.pacing.intervalMs === 0;
  }

  get signal(): string {
    return this.options.output.signal;
  }

  /** Records that are not delivered yet, as far as the journal still has them; those that it does not accept count too. */
  get backlog(): number {
    const { journal } = this.options;
    return Math.max(0, journal.newest() - Math.max(this.delivered, journal.oldest() - 1));
  }

  /** Rows up to this id need not stay in the journal for this output. */
  get delivered(): number {
    return this.isCurrent ? this.position : 0;
  }

  /** To be called when the journal has these records, written or not. Never throws. */
  onAppended(records: readonly EventRecord[]): void {
    try {
      // A delivery in progress belongs to the file that its rows were read from.
      if (this.delivering === undefined) this.followJournal();
      if (this.isCurrent) this.newestSeen = this.options.journal.newest();
      if (this.isGathering && this.newestSeen - this.position >= this.limit.rows / 2) this.gatherNoLonger();
      if (this.isActive || this.stopped) return;
      if (records.some((record) => this.options.output.accepts(record))) {
        this.schedule();
        return;
      }
      // All earlier rows were delivered, since no delivery is in progress. So nothing has to be read.
      this.position = this.newestSeen;
      if (this.position - this.rememberedPosition >= REMEMBER_EVERY) this.remember(this.position);
    } catch (error) {
      this.onJournalError(error);
    }
  }

  /** Queues a record that is not in the journal. */
  addBestEffort(record: EventRecord): void {
    if (!this.options.output.takesBestEffort) return;
    if (this.bestEffort.length >= BEST_EFFORT_LIMIT) {
      this.options.onDrop(1);
      return;
    }
    this.bestEffort.push(record);
    this.schedule();
  }

  /** To be called when a row was deleted from the journal, because of its age or the size of the file. */
  onDeleted({ id, record }: JournalRow): void {
    if (id > this.delivered && this.options.output.accepts(record))
      this.options.onLoss({ missing: 1, reason: "not_exported" });
  }

  /** To be called before shutdown. An output that delivers nothing at the end starts no further delivery. */
  prepareEnd(): void {
    if (!this.options.output.pacing.deliversAtEnd) this.stop();
  }

  private stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /**
   * Waits at most `ms` for the current delivery and, if the output wants that, for delivery of the remaining records.
   */
  async end(ms: number): Promise<void> {
    this.stop();
    await Promise.race([this.finish(), Bun.sleep(ms)]);
    // A late answer is ignored: the records are delivered again after the next start.
    this.closed = true;
    if (this.position !== this.rememberedPosition && this.isCurrent) this.remember(this.position);
  }

  private async finish(): Promise<void> {
    await this.delivering;
    if (this.closed || !this.options.output.pacing.deliversAtEnd || !this.hasWaiting()) return;
    if (performance.now() < this.notBefore) return;
    do await this.run();
    while (!this.closed && this.retryMs === 0 && this.hasWaiting());
  }

  /** Whether the timer only gathers records. */
  private get isGathering(): boolean {
    return this.timer !== undefined && this.gathers;
  }

  private gatherNoLonger(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.schedule(0);
  }

  private get isActive(): boolean {
    return this.timer !== undefined || this.delivering !== undefined;
  }

  /** Whether `position` belongs to the current file of the journal. */
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
   * In a journal that replaced a broken one, ids start at 1 again and every row is new. Undelivered rows of the broken
   * journal are lost. All of them count, because those for this output can no longer be identified.
   */
  private followJournal(): void {
    const { journal, onLoss } = this.options;
    if (this.isCurrent) return;
    this.replacements = journal.replacements;
    const missing = this.newestSeen - this.position;
    if (missing > 0) onLoss({ missing, reason: "not_exported" });
    this.newestSeen = 0;
    this.remember(0);
  }

  /** Schedules the next delivery. `gatherMs`: 0 for records that have already waited. */
  private schedule(gatherMs = this.options.output.pacing.gatherMs): void {
    if (this.stopped || this.isActive) return;
    const { intervalMs } = this.options.output.pacing;
    // Wait no longer than the interval, even after the clock was set back.
    const pause = Math.min(intervalMs, this.attemptedAt + intervalMs - Date.now());
    const demanded = this.notBefore - performance.now();
    const wait = Math.max(0, pause, this.retryMs, demanded);
    this.gathers = wait < gatherMs;
    this.timer = setTimeout(() => void this.run(), Math.max(gatherMs, wait));
  }

  /** Runs one delivery. Never rejects. */
  private async run(): Promise<void> {
    this.timer = undefined;
    this.delivering = this.deliverNext().catch((error: unknown) => this.onJournalError(error));
    await this.delivering;
    this.delivering = undefined;
    if (!this.stopped && this.hasWaiting()) this.schedule(0);
  }

  private async deliverNext(): Promise<void> {
    this.followJournal();
    const batch = new JournalBatch(this.options, this.position, this.limit, this.bestEffort);
    if (!(await batch.findFirst())) {
      this.retryMs = 0;
      this.advance(batch.position);
      return;
    }
    this.beginAttempt();
    const result = await this.deliver(batch);
    switch (result.outcome) {
      case "delivered":
        this.givenUpInARow = 0;
        if (result.partial !== undefined) this.onPartial(result.partial);
        this.pass(batch);
        return;
      case "failed":
        this.onFailed(result);
        return;
      case "rejected":
      case "too large":
        await this.onRefused(batch, result);
        return;
    }
  }

  private pass(batch: JournalBatch): void {
    this.retryMs = 0;
    this.limit.onPassed(batch.position, performance.now());
    this.bestEffort.splice(0, batch.bestEffortCount);
    this.advance(batch.position);
    this.options.onDelivered?.();
  }

  private onFailed({ why, retryAfterMs }: { readonly why: string; readonly retryAfterMs?: number }): void {
    this.options.onFailure(why);
    this.backOff();
    if (retryAfterMs === undefined) return;
    // Exactly this time or a little more, instead of a backoff of our own.
    this.notBefore = performance.now() + retryAfterMs * (1 + Math.random() / 10);
    this.retryMs = this.options.retryMs ?? RETRY_MS;
  }

  private onPartial({ rejected, why }: { readonly rejected: number; readonly why: string }): void {
    this.options.onFailure(`${rejected} of the records were rejected: ${why}`);
    if (rejected > 0) this.options.onLoss({ missing: rejected, reason: "rejected" });
  }

  /** Finds the record that is refused by halving the batches. */
  private async onRefused(
    batch: JournalBatch,
    { outcome, why }: { readonly outcome: "rejected" | "too large"; readonly why: string },
  ): Promise<void> {
    if (batch.count === 1) {
      await this.giveUp(batch, why);
      return;
    }
    this.options.onFailure(why);
    this.retryMs = 0;
    if (outcome === "too large") this.limit.onTooLarge(batch, performance.now());
    else this.limit.onRejected(batch);
  }

  /**
   * Gives up the only record of the batch, but not before the destination has taken the record that reports this: one
   * that refuses that as well refuses everything, which is a failure of the path, and nothing is given up. Neither are
   * more than a few records in a row, so that a path which takes only short records, say, costs few of them.
   */
  private async giveUp(batch: JournalBatch, why: string): Promise<void> {
    if (this.givenUpInARow >= GIVEN_UP_IN_A_ROW) {
      this.givenUpInARow = 0;
      this.onFailed({ why: `one record after the other is refused: ${why}` });
      return;
    }
    const uid = String(batch.last?.["log.record.uid"] ?? "");
    const loss: ExportLoss = { missing: 1, reason: "rejected", uid };
    const record = this.options.lossRecord(loss);
    const report = await this.deliver(batchOf(record));
    if (report.outcome === "failed") {
      this.onFailed(report);
      return;
    }
    if (report.outcome !== "delivered" || (report.partial?.rejected ?? 0) > 0) {
      this.limit.onPathFailure();
      this.onFailed({ why: `every record is refused: ${why}` });
      return;
    }
    this.givenUpInARow += 1;
    this.options.onFailure(`the record ${uid} was refused and is given up: ${why}`);
    this.pass(batch);
    this.options.onReportedLoss(loss, record);
  }

  /** An error in the output is a failed delivery; an error in reading the journal is not. */
  private async deliver(batch: Batch): Promise<Delivery> {
    try {
      return await this.options.output.deliver(batch);
    } catch (error) {
      if (batch instanceof JournalBatch && batch.journalError !== undefined) throw batch.journalError;
      return { outcome: "failed", why: messageOf(error) };
    }
  }

  private beginAttempt(): void {
    if (this.options.output.pacing.intervalMs === 0) return;
    this.attemptedAt = Date.now();
    this.store({ [this.attemptName]: String(this.attemptedAt) });
  }

  private advance(position: number): void {
    if (this.closed) return;
    if (this.isCurrent) this.remember(position);
    // The file was replaced meanwhile. Rows that were delivered from it do not count as lost.
    else this.position = position;
  }

  private remember(position: number): void {
    this.position = position;
    if (this.store({ [this.positionName]: String(position) })) this.rememberedPosition = position;
  }

  /**
   * A position that cannot be stored, on a full disk say, stops no delivery. If the reporter is killed meanwhile, the
   * next one delivers some records again.
   */
  private store(memory: Readonly<Record<string, string>>): boolean {
    try {
      this.options.journal.remember(memory);
      return true;
    } catch (error) {
      this.options.onJournalError(error);
      return false;
    }
  }

  private onJournalError(error: unknown): void {
    if (this.closed) return;
    this.options.onJournalError(error);
    this.backOff();
    this.schedule();
  }

  /** Increases the wait before the next try, with up to half of it as jitter, so that hosts do not retry in step. */
  private backOff(): void {
    const shortest = this.options.retryMs ?? RETRY_MS;
    const next = Math.min(LONGEST_RETRY_MS, Math.max(shortest, this.retryMs * 1.5));
    this.retryMs = next * (1 + Math.random() / 2);
  }
}
