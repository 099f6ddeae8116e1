// What must outlive a reporter: how far the reliable records are in the journal, and every total that was ever exposed.
import * as v from "valibot";
import type { LearnedUpdate } from "../baseline/learned.ts";
import type { EventRecord } from "../report/event-record.ts";
import { timestamp } from "../report/stamp.ts";
import { type CumulativeSeries, CumulativeTotals, type OwnSeries } from "./cumulative-totals.ts";
import type { Journal, JournalEntry } from "./journal.ts";

/** Names in the journal's memory. */
const POSITION = "warden";
const SINCE = "totals.since";

/** Everything up to the number `last` of that warden is in the journal. */
const Position = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ run: v.string(), generation: v.number(), last: v.number() }),
);
type Position = Readonly<v.InferOutput<typeof Position>>;

export interface AppendResult {
  /** The record that was written in the place of numbers that never came. */
  readonly gap: EventRecord | undefined;
  /** False if the journal refused. */
  readonly written: boolean;
}

export interface ReporterStateOptions {
  readonly journal: Journal;
  /** Names the run; totals of another run are forgotten. */
  readonly run: string;
  /** The series that the reporter counts itself. */
  readonly ownSeries: readonly OwnSeries[];
  /** Gives a record its uid; takes nanoseconds since the epoch. */
  readonly uid: (wallNs: number) => string;
  readonly onJournalError: (error: unknown) => void;
}

export class ReporterState {
  readonly totals: CumulativeTotals;
  /** When this run began to count, ms since the epoch. */
  readonly since: number;
  private readonly options: ReporterStateOptions;
  private position: Position | undefined;

  constructor(options: ReporterStateOptions) {
    const { journal, run, ownSeries } = options;
    this.options = options;
    this.totals = new CumulativeTotals(ownSeries);
    const position = v.safeParse(Position, journal.recall(POSITION));
    const since = Number(journal.recall(SINCE));
    if (position.success && position.output.run === run && since > 0) {
      this.position = position.output;
      this.since = since;
      this.totals.restore(journal.totals());
      return;
    }
    // Another run begins at 0, as every process's counters do.
    this.since = Date.now();
    this.attempt(() => {
      journal.forgetTotals();
      journal.remember({ [SINCE]: String(this.since) });
    });
  }

  /** The warden whose records and totals these are; undefined if none has sent a hello yet. */
  get generation(): number | undefined {
    return this.position?.generation;
  }

  /** The last number that is in the journal; undefined if no warden has sent a hello yet. */
  get last(): number | undefined {
    return this.position?.last;
  }

  /** A hello has arrived. True if it is another warden than before. */
  onHello(generation: number): boolean {
    const isNew = generation !== this.position?.generation;
    this.totals.onHello(isNew, Date.now());
    if (!isNew) return false;
    this.position = { run: this.options.run, generation, last: 0 };
    this.storeTotals({ [POSITION]: JSON.stringify(this.position) });
    return true;
  }

  /** Writes those of the records that the journal does not have yet. `first`: the number of the first of them. */
  appendRecords(first: number, records: readonly EventRecord[]): AppendResult {
    return this.append(first, records.length, (position, present) => ({
      records: [{ ...position, first: first + present, records: records.slice(present) }],
    }));
  }

  /** As `appendRecords`, for reports of what is learned. Null, a malformed one, takes its number and nothing else. */
  appendLearned(first: number, updates: readonly (LearnedUpdate | null)[]): AppendResult {
    return this.append(first, updates.length, (position, present) => ({
      records: [],
      learned: { ...position, updates: updates.slice(present).filter((update) => update !== null) },
    }));
  }

  /**
   * Every series. What changed is stored before anybody sees it, so that no counter goes back when this reporter is
   * killed.
   */
  exposedSeries(): readonly CumulativeSeries[] {
    const series = [...this.totals.series(Date.now())];
    this.storeTotals({});
    return series;
  }

  /** Roles whose policies are in force, as the warden's totals name them. */
  rolesInForce(): readonly string[] {
    const series = [...this.totals.series(Date.now())];
    return series.flatMap(({ instrument, values }) => (instrument === "policyInfo" ? (values[0] ?? []) : []));
  }

  /** `entryOf`: what to write when the first `present` of them are in the journal already. */
  private append(
    first: number,
    length: number,
    entryOf: (position: Position, present: number) => JournalEntry,
  ): AppendResult {
    const { position } = this;
    if (position === undefined) return { gap: undefined, written: true };
    const present = Math.max(0, position.last + 1 - first);
    if (present >= length) return { gap: undefined, written: true };
    const entry = entryOf(position, present);
    const missing = first + present - position.last - 1;
    const gap = missing > 0 ? this.gapRecord(missing) : undefined;
    // In the place, and under the number, of the first record that is missing.
    const gaps = gap === undefined ? [] : [{ ...position, first: position.last + 1, records: [gap] }];
    const after: Position = { ...position, last: first + length - 1 };
    const memory = { [POSITION]: JSON.stringify(after) };
    const written = this.attempt(() =>
      this.options.journal.append({ ...entry, records: [...gaps, ...entry.records], memory }),
    );
    if (written) this.position = after;
    return { gap: written ? gap : undefined, written };
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

  private gapRecord(missing: number): EventRecord {
    const now = Date.now() * 1e6;
    return {
      timestamp: timestamp(now),
      "event.name": "report.gap",
      "log.record.uid": this.options.uid(now),
      "report.missing": missing,
    };
  }
}
