// The configured outputs: opens them from the table and drives them together.
import type { EventRecord } from "../report/event-record.ts";
import { messageOf } from "../vocabulary/errors.ts";
import type { CumulativeSeries, OwnSeries } from "./cumulative-totals.ts";
import type { Journal } from "./journal.ts";
import { JournalCursor, type JournalCursorOptions } from "./journal-cursor.ts";
import { parseJournalRecord } from "./journal-reader.ts";
import { LossReports, type QueueLoss } from "./loss-reports.ts";
import { MetricsInterval } from "./metrics-interval.ts";
import { notJournaled } from "./not-journaled.ts";
import type {
  Batch,
  Delivery,
  JournalOutput,
  LiveOutput,
  MetricsOutput,
  OpenOutput,
  OutputContext,
  OutputKind,
} from "./output.ts";
import type { RateLimitedWarnings } from "./rate-limited-warnings.ts";
import type { ReporterProblems } from "./reporter-problems.ts";
import type { RecordRow } from "./unwritten-entries.ts";

export interface OutputSetOptions {
  readonly kinds: readonly OutputKind[];
  readonly context: Omit<OutputContext, "onDrop">;
  readonly journal: Journal;
  readonly redact: (record: EventRecord) => EventRecord;
  readonly series: () => Promise<readonly CumulativeSeries[]>;
  readonly warnings: RateLimitedWarnings;
  readonly problems: Pick<ReporterProblems, "begin" | "end">;
  /** Adds to one of the series of `ownSeriesOf`. */
  readonly count: (series: OwnSeries, n: number) => void;
  readonly onJournalError: (error: unknown) => void;
  /** Makes the record that reports a loss. */
  readonly lossRecord: (loss: QueueLoss) => EventRecord;
  /** Called with such a record, to put it into the journal. */
  readonly onLossRecord: (record: EventRecord) => void;
}

/** The series that count failures and losses of outputs. They start at 0 even for outputs that are not in use. */
export function ownSeriesOf(kinds: readonly OutputKind[]): readonly OwnSeries[] {
  const ofKinds = kinds.flatMap(({ signals, queue }) => [
    ...Object.keys(signals).map(failuresOf),
    droppedFrom(queue),
  ]);
  return [...ofKinds, notJournaled];
}

function failuresOf(signal: string): OwnSeries {
  return { instrument: "exportFailures", values: [signal] };
}

function droppedFrom(queue: string): OwnSeries {
  return { instrument: "queueDropped", values: [queue] };
}

export class OutputSet {
  private readonly options: OutputSetOptions;
  private readonly live: LiveOutput[] = [];
  private readonly cursors: JournalCursor[] = [];
  private readonly metrics: MetricsInterval[] = [];
  private readonly losses: LossReports;

  private constructor(options: OutputSetOptions) {
    this.options = options;
    const { lossRecord, onLossRecord } = options;
    this.losses = new LossReports((loss) => onLossRecord(lossRecord(loss)));
  }

  /** Rejects if the journal cannot be used. */
  static async open(options: OutputSetOptions): Promise<OutputSet> {
    const outputs = new OutputSet(options);
    for (const kind of options.kinds) await outputs.add(kind);
    return outputs;
  }

  /** Whether some output takes every exec. */
  get takesBestEffort(): boolean {
    return (
      this.live.some(({ takesBestEffort }) => takesBestEffort) ||
      this.cursors.some((cursor) => cursor.takesBestEffort)
    );
  }

  /** How many records of the journal the outputs of this signal have not delivered yet. */
  backlogOf(signal: string): number {
    return Math.max(0, ...this.cursors.map((cursor) => (cursor.signal === signal ? cursor.backlog : 0)));
  }

  /** To be called when a reliable record arrives for the first time. */
  onArrival(record: EventRecord): void {
    for (const output of this.live) output.write(record);
  }

  /** To be called when the journal has these reliable records, written or not. */
  onAppended(records: readonly EventRecord[]): void {
    for (const cursor of this.cursors) cursor.onAppended(records);
  }

  /** To be called when these rows, which were never written, are no longer in the journal. */
  onGivenUp(rows: readonly RecordRow[]): void {
    for (const { id, body } of rows) {
      const row = { id, record: parseJournalRecord(body) };
      for (const cursor of this.cursors) cursor.onDeleted(row);
    }
  }

  onBestEffort(record: EventRecord): void {
    for (const output of this.live) output.write(record);
    for (const cursor of this.cursors) cursor.addBestEffort(record);
  }

  /** Deletes old rows of the journal and counts undelivered ones. Throws if the journal cannot be written. */
  prune(): void {
    const delivered = Math.min(Number.MAX_SAFE_INTEGER, ...this.cursors.map((cursor) => cursor.delivered));
    this.options.journal.prune(Date.now(), delivered, (row) => {
      for (const cursor of this.cursors) cursor.onDeleted(row);
    });
  }

  /** To be called before shutdown: outputs that deliver nothing at the end start no further delivery. */
  prepareEnd(): void {
    for (const cursor of this.cursors) cursor.prepareEnd();
  }

  /** Delivers the remaining records, for at most `ms`. */
  async end(ms: number): Promise<void> {
    const until = performance.now() + ms;
    this.losses.flush();
    await Promise.all([...this.cursors, ...this.metrics].map((each) => each.end(ms)));
    await Promise.all(this.live.map((output) => output.end(until - performance.now())));
  }

  private async add(kind: OutputKind): Promise<void> {
    const { context, series, warnings, problems, count } = this.options;
    const onDrop = (dropped: number): void => count(droppedFrom(kind.queue), dropped);
    const failing = new Set<string>();
    const onFailureOf = (signal: string) => (why: string) => {
      failing.add(signal);
      const text = `cannot ${kind.signals[signal]}: ${why}`;
      problems.begin(signal, text);
      count(failuresOf(signal), 1);
      warnings.about(signal, text);
    };
    /** Returns `result`, after a warning if it is the first delivery after a failure. */
    const noteEndOfFailure = (signal: string, result: Delivery): Delivery => {
      if (result.outcome === "delivered" && result.partial === undefined && failing.delete(signal)) {
        problems.end(signal);
        warnings.about(`${signal} again`, `can ${kind.signals[signal]} again`);
      }
      return result;
    };
    const output = await this.openOrWarn(kind, { ...context, onDrop });
    if (output?.live !== undefined) this.live.push(output.live);
    if (output?.journal !== undefined) {
      const { journal } = output;
      const deliver = async (batch: Batch) => noteEndOfFailure(journal.signal, await journal.deliver(batch));
      this.cursors.push(this.cursorOf({ ...journal, deliver }, kind.queue, onFailureOf, onDrop));
    }
    if (output?.metrics !== undefined) {
      const { metrics } = output;
      const observed: MetricsOutput = {
        ...metrics,
        export: async (values, nowMs) =>
          noteEndOfFailure(metrics.signal, await metrics.export(values, nowMs)),
      };
      const onFailure = onFailureOf(metrics.signal);
      this.metrics.push(new MetricsInterval({ output: observed, series, onFailure }));
    }
  }

  /** A wrong setting of an output disables only that output. */
  private async openOrWarn(kind: OutputKind, context: OutputContext): Promise<OpenOutput | undefined> {
    try {
      return await kind.open(context);
    } catch (error) {
      context.warn(`output ${kind.name} is off: ${messageOf(error)}`);
      return undefined;
    }
  }

  private forgetDelivered(): void {
    const continuous = this.cursors.filter((cursor) => cursor.isContinuous);
    this.options.journal.forgetRecent(Math.min(...continuous.map((cursor) => cursor.delivered)));
  }

  private cursorOf(
    output: JournalOutput,
    queue: string,
    onFailureOf: (signal: string) => (why: string) => void,
    onDrop: (count: number) => void,
  ): JournalCursor {
    const { journal, redact, onJournalError, lossRecord, onLossRecord } = this.options;
    if (output.pacing.intervalMs === 0) journal.keepRecent();
    const options: JournalCursorOptions = {
      journal,
      output,
      redact,
      onFailure: onFailureOf(output.signal),
      onDrop,
      onLoss: (loss) => {
        onDrop(loss.missing);
        this.losses.add({ queue, ...loss });
      },
      lossRecord: (loss) => lossRecord({ queue, ...loss }),
      onReportedLoss: (loss, record) => {
        onDrop(loss.missing);
        onLossRecord(record);
      },
      onJournalError,
      onDelivered: () => this.forgetDelivered(),
    };
    try {
      return new JournalCursor(options);
    } catch (error) {
      onJournalError(error);
      // A broken journal has been replaced by now.
      return new JournalCursor(options);
    }
  }
}
