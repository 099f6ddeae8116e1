// Handles the warden's frames: writes reliable records to the journal and acknowledges them, passes all records to the
// outputs, and totals to the state. A journal that cannot be written delays none of the outputs.
import type { EventRecord } from "../report/event-record.ts";
import type { Frame, Hello, LearnedFrame, Pong, ReliableEvents, Request } from "../report/wire.ts";
import type { Journal } from "./journal.ts";
import type { OutputSet } from "./output-set.ts";
import type { AppendResult, ReporterState } from "./reporter-state.ts";

export interface RecordIntakeOptions {
  /** The id of the run. A hello of another run is ignored. */
  readonly run: string;
  readonly journal: Journal;
  readonly state: ReporterState;
  readonly outputs: OutputSet;
  readonly redact: (record: EventRecord) => EventRecord;
  /** Sends a request to the warden. */
  readonly send: (request: Request) => void;
  readonly onPong: (pong: Pong) => void;
  /** Called when a journal that could not be opened at the start can be opened now, by another reporter. */
  readonly onJournalBack: () => void;
  readonly onJournalError: (error: unknown) => void;
}

/** The wait after an error of the journal before the next try, ms. */
const RETRY_MS = 1_000;
/**
 * The least time between two transactions of the journal while records keep coming, ms. Each of them costs a sync and
 * writes the last pages of all tables and indexes again: with 100 ms, every record would cost a fifth more CPU at 200 a
 * second.
 */
const GATHER_MS = 250;
/** The most records that wait for the next one: a small part of those that the warden keeps until they are durable. */
const GATHER_RECORDS = 256;

export class RecordIntake {
  private readonly options: RecordIntakeOptions;
  /**
   * Whether a hello was read, so that the frames after it are complete. Packets before it continue those that a killed
   * reporter read, and will be sent again.
   */
  private helloSeen = false;
  private syncing = false;
  /** Frames that were received since the last transaction. */
  private gathered: ReliableEvents[] = [];
  private gatheredRecords = 0;
  private gatherTimer: ReturnType<typeof setTimeout> | undefined;
  /** The time of the last transaction (performance.now()). */
  private appendedAt = Number.NEGATIVE_INFINITY;
  private retry: ReturnType<typeof setTimeout> | undefined;
  /** The time of the last frame (performance.now()). */
  private lastFrameAt = 0;

  constructor(options: RecordIntakeOptions) {
    this.options = options;
  }

  /** Requests everything that is not in the journal. The warden answers with a hello. */
  start(): void {
    const { generation, last } = this.options.state;
    this.options.send({ type: "ready", generation: generation ?? 0, last: last ?? 0 });
    this.sendWatch();
  }

  take(frame: Frame): void {
    this.lastFrameAt = performance.now();
    // These follow the records that were sent before them.
    if (frame.type === "hello" || frame.type === "learned") this.appendGathered();
    if (frame.type === "hello") this.onHello(frame);
    if (!this.helloSeen) return;
    const { state, outputs, redact } = this.options;
    switch (frame.type) {
      case "hello":
        return;
      case "events":
        this.gather(frame);
        return;
      case "learned":
        this.takeLearned(frame);
        return;
      case "best-effort":
        for (const record of frame.records) outputs.onBestEffort(redact(record));
        return;
      case "totals":
        if (frame.generation === state.generation) state.totals.apply(frame.changed, frame.whole);
        return;
      case "pong":
        this.options.onPong(frame);
        return;
    }
  }

  private sendWatch(): void {
    if (this.options.outputs.takesBestEffort) this.options.send({ type: "watch", on: true });
  }

  private onHello(hello: Hello): void {
    if (hello.run !== this.options.run) return;
    const isFirst = !this.helloSeen;
    this.helloSeen = true;
    const warden = this.options.state.onHello(hello.generation);
    if (this.options.state.hasGivenUp) this.retrySoon();
    if (warden === "same") return;
    if (warden === "next") this.deliverOwn(this.options.state.compareVerdicts());
    // A warden that started after this reporter does not know yet whether best-effort records are wanted.
    if (!isFirst) this.sendWatch();
  }

  /** The first frame after a pause is journaled at once, those that follow it closely together. */
  private gather(frame: ReliableEvents): void {
    this.gathered.push(frame);
    this.gatheredRecords += frame.records.length;
    const wait = this.appendedAt + GATHER_MS - this.lastFrameAt;
    if (wait <= 0 || this.gatheredRecords >= GATHER_RECORDS) this.appendGathered();
    else this.gatherTimer ??= setTimeout(() => this.appendGathered(), wait);
  }

  private appendGathered(): void {
    clearTimeout(this.gatherTimer);
    this.gatherTimer = undefined;
    if (this.gathered.length === 0) return;
    const frames = this.gathered;
    this.gathered = [];
    this.gatheredRecords = 0;
    this.appendedAt = performance.now();
    for (const frame of joined(frames)) this.takeEvents(frame);
  }

  private takeEvents({ generation, first, records: unredacted, texts }: ReliableEvents): void {
    const { state, redact } = this.options;
    if (generation !== state.generation) return;
    const records = unredacted.map(redact);
    const result = state.appendRecords(
      first,
      records,
      texts.map((text, i) => (records[i] === unredacted[i] ? text : undefined)),
    );
    this.afterAppend(result, records.slice(result.present));
  }

  private takeLearned({ generation, first, updates }: LearnedFrame): void {
    const { state } = this.options;
    if (generation !== state.generation) return;
    this.afterAppend(state.appendLearned(first, updates), []);
  }

  /** `records`: those that were taken now for the first time. */
  private afterAppend({ gap, written }: AppendResult, records: readonly EventRecord[]): void {
    this.deliver(gap === undefined ? records : [gap, ...records]);
    if (!written) {
      this.giveUpExcess();
      this.retrySoon();
      return;
    }
    void this.acknowledge();
    const { journal, outputs, onJournalError } = this.options;
    try {
      if (journal.wantsPrune) outputs.prune();
    } catch (error) {
      onJournalError(error);
    }
  }

  /** Takes a record of the reporter itself. */
  takeOwn(record: EventRecord): void {
    this.options.state.appendOwn([record]);
    this.deliverOwn([record]);
  }

  private deliverOwn(records: readonly EventRecord[]): void {
    this.deliver(records);
    if (!this.options.journal.isWritable) this.retrySoon();
  }

  private deliver(records: readonly EventRecord[]): void {
    const { outputs } = this.options;
    for (const record of records) outputs.onArrival(record);
    if (records.length > 0) outputs.onAppended(records);
  }

  /** Makes room for what the warden sends next. The records that are given up are with the live outputs already. */
  private giveUpExcess(): void {
    const { state, outputs } = this.options;
    const { rows, count } = state.giveUpExcess();
    if (count === 0) return;
    outputs.onGivenUp(rows);
    void this.acknowledge();
  }

  /** Tries again in a while to write what waits, until the journal can be written. */
  retrySoon(): void {
    this.retry ??= setTimeout(() => {
      this.retry = undefined;
      const { state, journal, onJournalBack } = this.options;
      const { written, gap } = state.writeUnwritten();
      if (journal.canBeOpened) onJournalBack();
      if (gap !== undefined) this.deliver([gap]);
      if (written) void this.acknowledge();
      else this.retrySoon();
    }, RETRY_MS);
  }

  /** Writes what was gathered, and tries a last time to write what waits. For the end. */
  end(): void {
    this.appendGathered();
    clearTimeout(this.retry);
    const { journal, state } = this.options;
    if (journal.isWritable) return;
    const { gap } = state.writeUnwritten();
    if (gap !== undefined) this.deliver([gap]);
  }

  /** Acknowledges what does not wait any more, once it is durable. Records written meanwhile need another sync. */
  private async acknowledge(): Promise<void> {
    if (this.syncing) return;
    this.syncing = true;
    const { state, journal, send, onJournalError } = this.options;
    try {
      for (let done = false; !done; ) {
        const { generation, lastWritten } = state;
        if (generation === undefined || lastWritten === undefined) break;
        await journal.sync();
        send({ type: "ack", generation, n: lastWritten });
        done = generation === state.generation && lastWritten === state.lastWritten;
      }
    } catch (error) {
      onJournalError(error);
      setTimeout(() => void this.acknowledge(), RETRY_MS);
    } finally {
      this.syncing = false;
    }
  }
}

/** Frames whose records follow each other, as one. */
function joined(frames: readonly ReliableEvents[]): readonly ReliableEvents[] {
  const result: ReliableEvents[] = [];
  for (const frame of frames) {
    const last = result.at(-1);
    const follows =
      last !== undefined &&
      last.generation === frame.generation &&
      last.first + last.records.length === frame.first;
    if (!follows) result.push(frame);
    else
      result[result.length - 1] = {
        ...last,
        records: [...last.records, ...frame.records],
        texts: [...last.texts, ...frame.texts],
      };
  }
  return result;
}
