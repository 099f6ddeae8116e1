// The reporter's side of the totals: the current warden's absolute values plus those that earlier wardens of the same
// run reached, so that no counter decreases because a process was killed.
import * as v from "valibot";
import { addExponential, type ExponentialValue, isExponentialValue } from "../report/exponential-buckets.ts";
import { type InstrumentName, instrumentNamed, isInstrument } from "../report/instruments.ts";
import { SeriesMap } from "../report/series-map.ts";
import { type HistogramValue, isSeriesValue, type SeriesChange } from "../report/wire.ts";

type Total = number | HistogramValue;

/** Immutable: a series that has changed is another object, so that what was made of this one can be kept with it. */
export interface CumulativeSeries {
  readonly instrument: InstrumentName;
  /** One for each of the instrument's `attributes`, in their order, as in a `SeriesChange`. */
  readonly values: readonly string[];
  readonly value: Total;
  /** When the series began in this run, ms since the epoch; absent if that is not known. */
  readonly createdMs?: number;
}

/** A series that the reporter itself counts. */
export interface OwnSeries {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
}

/** A series as the journal stores it. A null body deletes it. */
export interface CumulativeRow {
  readonly key: string;
  readonly body: string | null;
}

interface Entry {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
  kept: boolean;
  /** The total of earlier wardens, and of the reporter's own counts. */
  carriedOver: Total;
  /** The current warden's value; null if it has not sent one. */
  current: Total | null;
  /** Whether the current warden has sent the series since its last hello. */
  confirmed: boolean;
  /** The time when its warden ended, ms since the epoch. */
  endedAt: number;
  /** As in `CumulativeSeries`; 0 in a row of an earlier version. */
  readonly createdMs: number;
  /** The series as it was returned last. Invalidated by: every change of the total. */
  shown: CumulativeSeries | undefined;
}

/** The time that a tree stays if the next warden does not know it: as long as a stopped tree. */
const STAY_MS = 3_600_000;
/** The most such trees, because wardens that keep dying would leave more and more of them. */
const ORPHANED_TREES = 2_000;

export class CumulativeTotals {
  private readonly entries = new SeriesMap<Entry>();
  /** The keys of the rows that have changed. */
  private readonly changed = new Set<string>();
  private readonly now: () => number;

  /** `ownSeries`: the series that the reporter counts itself; they start at 0. `now`: ms since the epoch. */
  constructor(ownSeries: readonly OwnSeries[], now: () => number = Date.now) {
    this.now = now;
    for (const { instrument, values } of ownSeries) this.entry(instrument, values);
  }

  /** Adds to a series of the reporter's own. */
  add({ instrument, values }: OwnSeries, n: number): void {
    const entry = this.entry(instrument, values);
    entry.carriedOver = plus(entry.carriedOver, n);
    entry.shown = undefined;
    this.changed.add(rowKey(instrument, values));
  }

  /** Sets a gauge of the reporter's own. It is measured again by the next reporter, so the journal need not store it. */
  set({ instrument, values }: OwnSeries, value: number): void {
    const entry = this.entry(instrument, values);
    if (entry.carriedOver === value) return;
    entry.carriedOver = value;
    entry.shown = undefined;
  }

  /** To be called for a hello, after which the same or a new warden sends all series. `now`: ms since the epoch. */
  onHello(isNewWarden: boolean, now: number): void {
    for (const entry of this.entries.values()) entry.confirmed = false;
    if (isNewWarden) this.carryOver(now);
  }

  /** Applies changes. `whole`: the warden has now sent all series, so a series that it did not send is gone. */
  apply(changes: readonly SeriesChange[], whole: boolean): void {
    for (const { instrument, values, value, kept } of changes) {
      if (value === null) {
        this.delete({ instrument, values });
        continue;
      }
      const entry = this.entry(instrument, values);
      entry.confirmed = true;
      // A tree that ran and is stopped again has the same gauge: it need not be formatted and stored again.
      if (entry.current === value && entry.kept === kept) continue;
      entry.current = value;
      entry.shown = undefined;
      entry.kept = kept;
      this.changed.add(rowKey(instrument, values));
    }
    if (!whole) return;
    for (const entry of this.entries.values()) {
      if (!entry.confirmed && entry.current !== null && isRevocable(entry.instrument)) this.delete(entry);
    }
  }

  /** Every series with its cumulative value. `now`: ms since the epoch. */
  *series(now: number): Generator<CumulativeSeries> {
    for (const entry of this.entries.values()) {
      const isOver =
        entry.current === null && isPerTree(entry.instrument) && !entry.kept && entry.endedAt < now - STAY_MS;
      if (isOver) {
        this.delete(entry);
        continue;
      }
      entry.shown ??= seriesOf(entry);
      yield entry.shown;
    }
  }

  /** The rows that changed since the last call, for the journal. */
  takeChanged(): CumulativeRow[] {
    const rows: CumulativeRow[] = [];
    for (const key of this.changed) {
      const [instrument = "", ...values] = key.split("\0");
      const entry = isInstrument(instrument) ? this.entries.get(instrument, values) : undefined;
      if (entry === undefined) {
        rows.push({ key, body: null });
        continue;
      }
      const { confirmed: _confirmed, shown: _shown, ...stored } = entry;
      rows.push({ key, body: JSON.stringify(stored) });
    }
    this.changed.clear();
    return rows;
  }

  /** To be called if the journal could not store these rows: `takeChanged` returns them again. */
  markChanged(rows: readonly CumulativeRow[]): void {
    for (const { key } of rows) this.changed.add(key);
  }

  /** Restores the rows of an earlier reporter of this run. Malformed bodies are skipped. */
  restore(bodies: readonly string[]): void {
    for (const body of bodies) {
      const entry = parseEntry(body);
      if (entry !== undefined) this.entries.set(entry.instrument, entry.values, entry);
    }
  }

  /** Carries over the counts of the ended warden. Its gauges are removed, except those of trees, which become 0. */
  private carryOver(now: number): void {
    const orphaned: Entry[] = [];
    for (const entry of this.entries.values()) {
      if (entry.current !== null) {
        entry.endedAt = now;
        this.changed.add(rowKey(entry.instrument, entry.values));
        if (instrumentNamed(entry.instrument).kind !== "gauge")
          entry.carriedOver = plus(entry.carriedOver, entry.current);
        else if (!isPerTree(entry.instrument)) this.delete(entry);
        entry.current = null;
        entry.shown = undefined;
      }
      if (isPerTree(entry.instrument)) orphaned.push(entry);
    }
    // Each tree has two series.
    const excess = orphaned.length - 2 * ORPHANED_TREES;
    if (excess <= 0) return;
    orphaned.sort((a, b) => Number(a.kept) - Number(b.kept) || a.endedAt - b.endedAt);
    for (const entry of orphaned.slice(0, excess)) this.delete(entry);
  }

  private entry(instrument: InstrumentName, values: readonly string[]): Entry {
    const present = this.entries.get(instrument, values);
    if (present !== undefined) return present;
    const carriedOver = zeroOf(instrument);
    const entry = {
      instrument,
      values,
      kept: false,
      carriedOver,
      current: null,
      confirmed: false,
      endedAt: 0,
      createdMs: this.now(),
      shown: undefined,
    };
    this.entries.set(instrument, values, entry);
    return entry;
  }

  private delete({ instrument, values }: OwnSeries): void {
    if (this.entries.delete(instrument, values)) this.changed.add(rowKey(instrument, values));
  }
}

/** The key of a series in the journal. */
function rowKey(instrument: InstrumentName, values: readonly string[]): string {
  return [instrument, ...values].join("\0");
}

/** Whether the series belongs to a tree, and so may disappear. */
function isPerTree(instrument: InstrumentName): boolean {
  return instrument === "treeDuration" || instrument === "treeProcesses";
}

/** Whether a warden may withdraw such a series. Counters are never withdrawn. */
function isRevocable(instrument: InstrumentName): boolean {
  return isPerTree(instrument) || instrumentNamed(instrument).kind === "gauge";
}

function seriesOf({ instrument, values, carriedOver, current, createdMs }: Entry): CumulativeSeries {
  const value =
    current === null || carriedOver === zeroOf(instrument)
      ? (current ?? carriedOver)
      : plus(carriedOver, current);
  return { instrument, values, value, ...(createdMs > 0 ? { createdMs } : {}) };
}

/** One for all series of an instrument: most have nothing that is carried over. */
const zeroHistograms = new Map<InstrumentName, HistogramValue>();

function zeroOf(instrument: InstrumentName): Total {
  const { kind, buckets } = instrumentNamed(instrument);
  if (kind !== "histogram") return 0;
  const known = zeroHistograms.get(instrument);
  if (known !== undefined) return known;
  const zero = { counts: new Array((buckets?.length ?? 0) + 1).fill(0), sum: 0 };
  zeroHistograms.set(instrument, zero);
  return zero;
}

function plus(a: Total, b: Total): Total {
  if (typeof a === "number" || typeof b === "number") return Number(a) + Number(b);
  const exponential = addExponential(a.exponential, b.exponential);
  return {
    counts: b.counts.map((count, i) => count + (a.counts[i] ?? 0)),
    sum: a.sum + b.sum,
    ...(exponential === undefined ? {} : { exponential }),
  };
}

const histogram = v.object({
  counts: v.array(v.number()),
  sum: v.number(),
  exponential: v.exactOptional(v.custom<ExponentialValue>(isExponentialValue)),
});
const total = v.union([v.number(), histogram]);
const StoredEntry = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({
    instrument: v.custom<InstrumentName>((name) => typeof name === "string" && isInstrument(name)),
    values: v.array(v.string()),
    kept: v.boolean(),
    carriedOver: total,
    current: v.nullable(total),
    endedAt: v.number(),
    createdMs: v.optional(v.number(), 0),
  }),
  v.check(
    ({ instrument, carriedOver, current }) =>
      isSeriesValue(instrument, carriedOver) && (current === null || isSeriesValue(instrument, current)),
  ),
);

function parseEntry(body: string): Entry | undefined {
  const result = v.safeParse(StoredEntry, body);
  return result.success ? { ...result.output, confirmed: false, shown: undefined } : undefined;
}
