// The state that must survive a reporter: the last record that it took, and every total that was ever exposed.
import * as v from "valibot";
import type { SealedUpdate } from "../baseline/learned.ts";
import type { EventRecord } from "../report/event-record.ts";
import { timestamp } from "../report/stamp.ts";
import type { EventName } from "../vocabulary/event-names.ts";
import { type CumulativeSeries, CumulativeTotals, type OwnSeries } from "./cumulative-totals.ts";
import type { Journal, JournalEntry, NumberedRecords } from "./journal.ts";
import type { QueueLoss } from "./loss-reports.ts";
import { notJournaled } from "./not-journaled.ts";
import type { Outage, OutageNote } from "./outage-note.ts";
import { type PolicyDigests, policyDigestsIn } from "./policy-digests.ts";
import {
  RECORDED_COUNT,
  RECORDED_RUN,
  RecordedVerdicts,
  type VerdictCount,
  verdictFields,
} from "./recorded-verdicts.ts";
import type { GivenUp, NumberOfWarden } from "./unwritten-entries.ts";

/** Names in the journal's memory. */
const POSITION = "warden";
const SINCE = "totals.since";

/** All records of that warden up to the number `last` were taken: they are in the journal, or wait to be written. */
const Position = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ run: v.string(), generation: v.number(), last: v.number() }),
);
type Position = Readonly<v.InferOutput<typeof Position>>;

export interface AppendResult {
  /** The record that was written in place of missing numbers. */
  readonly gap: EventRecord | undefined;
  /** How many of the records, from the first one on, had been taken before. */
  readonly present: number;
  /** False if they wait in memory because the journal cannot be written. */
  readonly written: boolean;
}

export interface ReporterStateOptions {
  readonly journal: Journal;
  readonly note: OutageNote;
  /** The id of the run. Totals of another run are discarded. */
  readonly run: string;
  /** The series that the reporter counts itself. */
  readonly ownSeries: readonly OwnSeries[];
  /** Generates a record's uid from nanoseconds since the epoch. */
  readonly uid: (wallNs: number) => string;
  readonly onJournalError: (error: unknown) => void;
}

interface MissingRecords {
  /** The number that the record of the gap gets. */
  readonly from: NumberOfWarden;
  readonly count: number;
  /** How many of them are of the current warden. */
  readonly ofWarden: number;
}

export class ReporterState {
  readonly totals: CumulativeTotals;
  /** The time when this run started counting, ms since the epoch. */
  readonly since: number;
  private readonly options: ReporterStateOptions;
  private readonly recorded: RecordedVerdicts;
  private position: Position | undefined;
  /** Records that will never be in the journal, and are not reported yet as missing. */
  private givenUp: MissingRecords | undefined;
  /** The number of records that `appendOwn` has taken. */
  private ownRecords = 0;
  /** What an earlier reporter noted; undefined after the first hello. */
  private noted: Outage | undefined;

  constructor(options: ReporterStateOptions) {
    const { journal, note, run, ownSeries } = options;
    this.options = options;
    this.noted = note.read();
    this.totals = new CumulativeTotals(ownSeries);
    const position = v.safeParse(Position, journal.recall(POSITION));
    const since = Number(journal.recall(SINCE));
    const recordedRun = journal.recall(RECORDED_RUN);
    const recorded = (ofRun: string): RecordedVerdicts =>
      new RecordedVerdicts(ofRun, journal.recallAll(RECORDED_COUNT), ofRun === recordedRun);
    if (position.success && position.output.run === run && since > 0) {
      this.position = position.output;
      this.since = since;
      this.totals.restore(journal.totals());
      this.recorded = recorded(run);
      return;
    }
    if (position.success) this.endRun(recorded(position.output.run));
    // A new run starts at 0, as counters of a new process do. Of a run whose journal was lost, records are missing.
    this.since = Date.now();
    this.recorded = new RecordedVerdicts(run, new Map(), journal.quarantine === undefined);
    this.attempt(() => {
      journal.forgetTotals(RECORDED_COUNT);
      const memory = this.recorded.takeChanged(journal.replacements);
      journal.remember({ [SINCE]: String(this.since), ...memory });
    });
  }

  /** The current warden; undefined before the first hello. */
  get generation(): number | undefined {
    return this.position?.generation;
  }

  /** The last number that was taken; undefined before the first hello. */
  get last(): number | undefined {
    return this.position?.last;
  }

  /** The last number up to which nothing waits to be written; undefined before the first hello. */
  get lastWritten(): number | undefined {
    if (this.position === undefined) return undefined;
    const first = this.options.journal.firstUnwritten(this.position.generation);
    return first === undefined ? this.position.last : first - 1;
  }

  /** Reports the verdicts that the run before has counted, as far as that was stored, and for which no record stands. */
  private endRun(recorded: RecordedVerdicts): void {
    const { journal } = this.options;
    const totals = new CumulativeTotals([]);
    totals.restore(journal.totals());
    const { unrecorded } = recorded.compare(totals.series(Date.now()));
    if (unrecorded.length === 0) return;
    const records = unrecorded.map((count) => this.unrecordedVerdicts(count));
    this.writeOwn(records, recorded.takeChanged(journal.replacements));
  }

  /**
   * To be called after the hello of the next warden. Returns records of the verdicts that the wardens before it have counted,
   * and for which no record stands; they are in the journal. Verdicts that have a record are counted if they were not.
   */
  compareVerdicts(): readonly EventRecord[] {
    const { unrecorded, uncounted } = this.recorded.compare(this.totals.series(Date.now()));
    for (const { values, count } of uncounted) this.totals.add({ instrument: "verdicts", values }, count);
    const records = unrecorded.map((count) => this.unrecordedVerdicts(count));
    if (records.length > 0) this.appendOwn(records);
    return records;
  }

  /** To be called for each hello: from the first warden of the run, the same one as before, or the next one. */
  onHello(generation: number): "first" | "same" | "next" {
    const before = this.position?.generation;
    const isNew = generation !== before;
    this.totals.onHello(isNew, Date.now());
    this.takeNoted(generation);
    if (!isNew) return "same";
    if (this.givenUp !== undefined) this.givenUp = { ...this.givenUp, ofWarden: 0 };
    this.position = { run: this.options.run, generation, last: 0 };
    this.storeTotals({ [POSITION]: JSON.stringify(this.position) });
    return before === undefined ? "first" : "next";
  }

  /**
   * Takes the records that were not taken before: writes them, or keeps them in memory while the journal cannot be
   * written. `first`: the number of the first record. `texts`: as in `NumberedRecords`.
   */
  appendRecords(
    first: number,
    records: readonly EventRecord[],
    texts: NumberedRecords["texts"] = [],
  ): AppendResult {
    return this.append(first, records.length, (position, present) => ({
      records: [
        {
          ...position,
          first: first + present,
          records: records.slice(present),
          texts: texts.slice(present),
        },
      ],
    }));
  }

  /**
   * Like `appendRecords`, for updates of the learner. Null stands for a malformed update and only uses up its number.
   */
  appendLearned(first: number, updates: readonly (SealedUpdate | null)[]): AppendResult {
    return this.append(first, updates.length, (position, present) => ({
      records: [],
      learned: { ...position, updates: updates.slice(present).filter((update) => update !== null) },
    }));
  }

  /**
   * Returns every series. Changes are stored first, so that no counter decreases when this reporter is killed.
   */
  exposedSeries(): readonly CumulativeSeries[] {
    const series = [...this.totals.series(Date.now())];
    this.storeTotals({});
    return series;
  }

  inForce(): PolicyDigests {
    return policyDigestsIn(this.totals.series(Date.now()));
  }

  /**
   * Tries to write what waits. True if nothing waits any more; then `gap` is the record of those that were given up
   * meanwhile, if any.
   */
  writeUnwritten(): { readonly written: boolean; readonly gap: EventRecord | undefined } {
    if (!this.write(() => this.options.journal.writeUnwritten())) return { written: false, gap: undefined };
    // What waited may have stored the position of an earlier warden.
    if (this.position !== undefined) this.storeTotals({ [POSITION]: JSON.stringify(this.position) });
    const { givenUp } = this;
    if (givenUp === undefined) {
      this.noteOutage();
      return { written: true, gap: undefined };
    }
    const { from, count } = givenUp;
    const gap = this.gapRecord(count, "not_journaled");
    const records = [{ run: from.run, generation: from.generation, first: from.n, records: [gap] }];
    const written = this.write(() => this.options.journal.append({ records }));
    this.givenUp = undefined;
    this.noteOutage();
    return { written, gap };
  }

  /** Gives up the oldest of what waits if it has become too much. */
  giveUpExcess(): GivenUp {
    const given = this.options.journal.giveUpExcess();
    const { from, count } = given;
    if (from !== undefined)
      this.giveUp(from, count, from.generation === this.position?.generation ? count : 0);
    this.noteOutage();
    return given;
  }

  /** Whether something is to be reported as missing as soon as the journal can be written. */
  get hasGivenUp(): boolean {
    return this.givenUp !== undefined;
  }

  /**
   * What an earlier reporter took and could not write is missing, unless its warden is still there: that sends again
   * what was not acknowledged, and the other numbers are missing in the journal.
   */
  private takeNoted(generation: number): void {
    const { noted } = this;
    if (noted === undefined) return;
    this.noted = undefined;
    const isSameWarden = noted.run === this.options.run && noted.generation === generation;
    const count = isSameWarden ? noted.missing - noted.ofWarden : noted.missing;
    const from = { run: noted.run, generation: noted.generation, n: this.numberOutOfWay() };
    if (count > 0) this.giveUp(from, count, 0);
    else this.options.note.write(undefined);
  }

  private giveUp(from: NumberOfWarden, count: number, ofWarden: number): void {
    this.totals.add(notJournaled, count);
    const before = this.givenUp ?? { from, count: 0, ofWarden: 0 };
    this.givenUp = { ...before, count: before.count + count, ofWarden: before.ofWarden + ofWarden };
  }

  /** Notes what is missing in the journal, for the case that this reporter is killed before it is written. */
  private noteOutage(): void {
    const { journal, note, run } = this.options;
    const generation = this.position?.generation ?? 0;
    const missing = journal.unwrittenCount() + (this.givenUp?.count ?? 0);
    const ofWarden = journal.unwrittenCount(generation) + (this.givenUp?.ofWarden ?? 0);
    note.write(missing === 0 ? undefined : { run, generation, missing, ofWarden });
  }

  /** `entryOf`: returns the entry to write if the first `present` records were taken before. */
  private append(
    first: number,
    length: number,
    entryOf: (position: Position, present: number) => JournalEntry,
  ): AppendResult {
    const { position } = this;
    if (position === undefined) return { gap: undefined, present: length, written: true };
    const present = Math.max(0, position.last + 1 - first);
    if (present >= length) return { gap: undefined, present: length, written: true };
    const entry = entryOf(position, present);
    const missing = first + present - position.last - 1;
    const gap = missing > 0 ? this.gapRecord(missing, "dropped") : undefined;
    // The gap record gets the number of the first missing record.
    const gaps = gap === undefined ? [] : [{ ...position, first: position.last + 1, records: [gap] }];
    const after: Position = { ...position, last: first + length - 1 };
    for (const { records } of entry.records) this.recorded.add(records);
    const recorded = this.recorded.takeChanged(this.options.journal.replacements);
    const memory = { [POSITION]: JSON.stringify(after), ...recorded };
    const from = { run: position.run, generation: position.generation, n: position.last + 1 };
    this.position = after;
    const written = this.write(() =>
      this.options.journal.append({ ...entry, records: [...gaps, ...entry.records], memory, from }),
    );
    return { gap, present, written };
  }

  /** Runs a write of the journal. If it fails because the file is broken, a new file has replaced it and takes it. */
  private write(attempt: () => boolean): boolean {
    if (attempt()) return true;
    const { journal, onJournalError } = this.options;
    const { replacements } = journal;
    onJournalError(journal.failure);
    return journal.replacements !== replacements && journal.writeUnwritten();
  }

  private storeTotals(memory: Readonly<Record<string, string>>): void {
    const rows = this.totals.takeChanged();
    if (rows.length === 0 && Object.keys(memory).length === 0) return;
    if (!this.attempt(() => this.options.journal.remember(memory, rows))) this.totals.markChanged(rows);
  }

  private attempt(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      this.options.onJournalError(error);
      return false;
    }
  }

  /** The record of what an output will never get. */
  lossRecord({ queue, missing, reason, uid }: QueueLoss): EventRecord {
    return {
      ...this.gapRecord(missing, reason),
      "report.queue": queue,
      ...(uid === undefined ? {} : { "report.uid": uid }),
    };
  }

  /** Puts records of the reporter itself into the journal, all of them or none. */
  appendOwn(records: readonly EventRecord[]): void {
    this.writeOwn(records, this.recorded.takeChanged(this.options.journal.replacements));
  }

  private writeOwn(records: readonly EventRecord[], memory: Readonly<Record<string, string>>): void {
    const { run, journal } = this.options;
    const generation = this.position?.generation ?? 0;
    const numbered = records.map((record) => {
      this.ownRecords += 1;
      return { run, generation, first: this.numberOutOfWay(), records: [record] };
    });
    this.write(() => journal.append({ records: numbered, memory }));
  }

  /** A number that neither a record of a warden nor another of ours has. */
  private numberOutOfWay(): number {
    return -Date.now() * 1_000 - (this.ownRecords % 1_000);
  }

  private gapRecord(missing: number, reason: "dropped" | "not_journaled" | QueueLoss["reason"]): EventRecord {
    return { ...this.draft("report.gap"), "report.missing": missing, "report.reason": reason };
  }

  private unrecordedVerdicts({ values, count }: VerdictCount): EventRecord {
    return { ...this.draft("policy.verdict.unrecorded"), ...verdictFields(values), "policy.count": count };
  }

  private draft(name: EventName): EventRecord {
    const now = Date.now() * 1e6;
    return { timestamp: timestamp(now), "event.name": name, "log.record.uid": this.options.uid(now) };
  }
}
