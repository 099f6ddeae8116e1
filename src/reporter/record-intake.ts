// Takes the warden's frames: reliable records into the journal and then acknowledged, all records to the outputs, totals
// to the state.
import type { EventRecord } from "../report/event-record.ts";
import type { Frame, Hello, LearnedFrame, Pong, ReliableEvents, Request } from "../report/wire.ts";
import type { Journal } from "./journal.ts";
import type { OutputSet } from "./output-set.ts";
import type { AppendResult, ReporterState } from "./reporter-state.ts";

export interface RecordIntakeOptions {
  /** Names the run: a hello of another one is ignored. */
  readonly run: string;
  readonly journal: Journal;
  readonly state: ReporterState;
  readonly outputs: OutputSet;
  readonly redact: (record: EventRecord) => EventRecord;
  /** Sends to the warden. */
  readonly send: (request: Request) => void;
  readonly onPong: (pong: Pong) => void;
  readonly onJournalError: (error: unknown) => void;
}

/** After the journal refused, the warden is asked for the same records again this much later. */
const RETRY_MS = 1_000;

export class RecordIntake {
  private readonly options: RecordIntakeOptions;
  /**
   * A hello was read, so what follows is complete. Before it stand packets whose predecessors were read by a reporter
   * that was killed: they will be sent again.
   */
  private helloSeen = false;
  /** The last reliable record that live outputs got: more than is in the journal while that refuses. */
  private lastShown: number;
  private syncing = false;
  /** When the last frame arrived, as performance.now() gives it. */
  lastFrameAt = 0;

  constructor(options: RecordIntakeOptions) {
    this.options = options;
    this.lastShown = options.state.last ?? 0;
  }

  /** Asks the warden for everything that is not in the journal. It answers with a hello. */
  start(): void {
    const { generation, last } = this.options.state;
    this.options.send({ type: "ready", generation: generation ?? 0, last: last ?? 0 });
    this.sendWatch();
  }

  take(frame: Frame): void {
    this.lastFrameAt = performance.now();
    if (frame.type === "hello") this.onHello(frame);
    if (!this.helloSeen) return;
    const { state, outputs, redact } = this.options;
    switch (frame.type) {
      case "hello":
        return;
      case "events":
        this.takeEvents(frame);
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
    if (!this.options.state.onHello(hello.generation)) return;
    this.lastShown = 0;
    // A warden that started after this reporter does not know yet that best-effort records are wanted.
    if (!isFirst) this.sendWatch();
  }

  private takeEvents({ generation, first, records: unredacted }: ReliableEvents): void {
    const { state, outputs, redact } = this.options;
    if (generation !== state.generation) return;
    const records = unredacted.map(redact);
    const result = state.appendRecords(first, records);
    if (result.gap !== undefined) outputs.onArrival(result.gap);
    // Each once, although they come again if the journal could not be written.
    records.forEach((record, i) => {
      if (first + i > this.lastShown) outputs.onArrival(record);
    });
    this.lastShown = Math.max(this.lastShown, first + records.length - 1);
    this.afterAppend(result, records);
  }

  private takeLearned({ generation, first, updates }: LearnedFrame): void {
    const { state, outputs } = this.options;
    if (generation !== state.generation) return;
    const result = state.appendLearned(first, updates);
    if (result.gap !== undefined) outputs.onArrival(result.gap);
    this.afterAppend(result, []);
  }

  private afterAppend({ gap, written }: AppendResult, records: readonly EventRecord[]): void {
    if (!written) {
      this.helloSeen = false;
      setTimeout(() => this.start(), RETRY_MS);
      return;
    }
    void this.acknowledge();
    const { journal, outputs, onJournalError } = this.options;
    const appended = gap === undefined ? records : [gap, ...records];
    if (appended.length > 0) outputs.onAppended(appended);
    try {
      if (journal.wantsPrune) outputs.prune();
    } catch (error) {
      onJournalError(error);
    }
  }

  /** Acknowledges what is in the journal once it is durable. Records that are written meanwhile are synced after it. */
  private async acknowledge(): Promise<void> {
    if (this.syncing) return;
    this.syncing = true;
    const { state, journal, send, onJournalError } = this.options;
    try {
      for (let done = false; !done; ) {
        const { generation, last } = state;
        if (generation === undefined || last === undefined) break;
        await journal.sync();
        send({ type: "ack", generation, n: last });
        done = generation === state.generation && last === state.last;
      }
    } catch (error) {
      onJournalError(error);
      setTimeout(() => void this.acknowledge(), RETRY_MS);
    } finally {
      this.syncing = false;
    }
  }
}
