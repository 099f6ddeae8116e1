// The reporter's side of the totals: the living warden's absolute values, on top of what earlier wardens of the same run
// had reached, so that no counter goes back because a process was killed.
import * as v from "valibot";
import { type InstrumentName, instrumentNamed, isInstrument } from "../report/instruments.ts";
import { seriesKey } from "../report/totals.ts";
import { type HistogramValue, isSeriesValue, type SeriesChange } from "../report/wire.ts";

type Total = number | HistogramValue;

export interface CumulativeSeries {
  readonly instrument: InstrumentName;
  /** One for each of the instrument's `attributes`, in their order, as in a `SeriesChange`. */
  readonly values: readonly string[];
  readonly value: Total;
}

/** A series to which the reporter itself adds. */
export interface OwnSeries {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
}

/** One series as the journal stores it; without a body it is deleted. */
export interface CumulativeRow {
  readonly key: string;
  readonly body: string | null;
}

interface Entry {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
  kept: boolean;
  /** What earlier wardens had reached, and what the reporter counts itself. */
  carriedOver: Total;
  /** The living warden's; null if it has not sent any. */
  current: Total | null;
  /** The living warden has sent it since its last hello. */
  confirmed: boolean;
  /** When its warden ended, ms since the epoch. */
  endedAt: number;
}

/** A tree that the next warden does not know stays as long as one that stopped. */
const STAY_MS = 3_600_000;
/** Such trees, at most: or else wardens that die again and again would leave ever more. */
const ORPHANED_TREES = 2_000;

export class CumulativeTotals {
  private readonly entries = new Map<string, Entry>();
  private readonly changed = new Set<string>();

  /** `own`: what the reporter counts itself, there from the start at 0. */
  constructor(own: readonly OwnSeries[]) {
    for (const { instrument, values } of own) this.entry(instrument, values);
  }

  /** Adds to a series of the reporter's own. */
  add({ instrument, values }: OwnSeries, n: number): void {
    const entry = this.entry(instrument, values);
    entry.carriedOver = plus(entry.carriedOver, n);
    this.changed.add(seriesKey(instrument, values));
  }

  /** A hello: all series will be sent again, by the same warden or by a new one. `now`: ms since the epoch. */
  onHello(isNewWarden: boolean, now: number): void {
    for (const entry of this.entries.values()) entry.confirmed = false;
    if (isNewWarden) this.carryOver(now);
  }

  /** `whole`: with these changes the warden has sent everything, and a series that it did not send is gone. */
  apply(changes: readonly SeriesChange[], whole: boolean): void {
    for (const { instrument, values, value, kept } of changes) {
      if (value === null) {
        this.delete(seriesKey(instrument, values));
        continue;
      }
      const entry = this.entry(instrument, values);
      entry.current = value;
      entry.kept = kept;
      entry.confirmed = true;
      this.changed.add(seriesKey(instrument, values));
    }
    if (!whole) return;
    for (const [key, entry] of this.entries) {
      if (!entry.confirmed && entry.current !== null && isRevocable(entry.instrument)) this.delete(key);
    }
  }

  /** Every series with its whole value. `now`: ms since the epoch. */
  *series(now: number): Generator<CumulativeSeries> {
    for (const [key, entry] of this.entries) {
      const { instrument, values, carriedOver, current } = entry;
      const isOver =
        current === null && isPerTree(instrument) && !entry.kept && entry.endedAt < now - STAY_MS;
      if (isOver) this.delete(key);
      else yield { instrument, values, value: current === null ? carriedOver : plus(carriedOver, current) };
    }
  }

  /** What changed since the last call, for the journal. */
  takeChanged(): CumulativeRow[] {
    const rows: CumulativeRow[] = [];
    for (const key of this.changed) {
      const entry = this.entries.get(key);
      if (entry === undefined) {
        rows.push({ key, body: null });
        continue;
      }
      const { confirmed: _confirmed, ...stored } = entry;
      rows.push({ key, body: JSON.stringify(stored) });
    }
    this.changed.clear();
    return rows;
  }

  /** The journal did not take these rows: `takeChanged` gives them again. */
  markChanged(rows: readonly CumulativeRow[]): void {
    for (const { key } of rows) this.changed.add(key);
  }

  /** Takes over what an earlier reporter of this run had stored; a malformed body is left out. */
  restore(bodies: readonly string[]): void {
    for (const body of bodies) {
      const entry = parseEntry(body);
      if (entry !== undefined) this.entries.set(seriesKey(entry.instrument, entry.values), entry);
    }
  }

  /** The ended warden's counts are carried over. Its gauges end, except that of a tree, which shows that nothing runs. */
  private carryOver(now: number): void {
    const orphaned: [string, Entry][] = [];
    for (const [key, entry] of this.entries) {
      if (entry.current !== null) {
        entry.endedAt = now;
        this.changed.add(key);
        if (instrumentNamed(entry.instrument).kind !== "gauge")
          entry.carriedOver = plus(entry.carriedOver, entry.current);
        else if (!isPerTree(entry.instrument)) this.delete(key);
        entry.current = null;
      }
      if (isPerTree(entry.instrument)) orphaned.push([key, entry]);
    }
    // Each tree has two series.
    const excess = orphaned.length - 2 * ORPHANED_TREES;
    if (excess <= 0) return;
    orphaned.sort(([, a], [, b]) => Number(a.kept) - Number(b.kept) || a.endedAt - b.endedAt);
    for (const [key] of orphaned.slice(0, excess)) this.delete(key);
  }

  private entry(instrument: InstrumentName, values: readonly string[]): Entry {
    const key = seriesKey(instrument, values);
    const present = this.entries.get(key);
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
    };
    this.entries.set(key, entry);
    return entry;
  }

  private delete(key: string): void {
    if (this.entries.delete(key)) this.changed.add(key);
  }
}

/** Series of trees come and go. */
function isPerTree(instrument: InstrumentName): boolean {
  return instrument === "treeDuration" || instrument === "treeProcesses";
}

/** Whether a living warden may take such a series back; a counter it never does. */
function isRevocable(instrument: InstrumentName): boolean {
  return isPerTree(instrument) || instrumentNamed(instrument).kind === "gauge";
}

function zeroOf(instrument: InstrumentName): Total {
  const { kind, buckets } = instrumentNamed(instrument);
  return kind === "histogram" ? { counts: new Array((buckets?.length ?? 0) + 1).fill(0), sum: 0 } : 0;
}

function plus(a: Total, b: Total): Total {
  if (typeof a === "number" || typeof b === "number") return Number(a) + Number(b);
  return { counts: b.counts.map((count, i) => count + (a.counts[i] ?? 0)), sum: a.sum + b.sum };
}

const total = v.union([v.number(), v.object({ counts: v.array(v.number()), sum: v.number() })]);
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
  }),
  v.check(
    ({ instrument, carriedOver, current }) =>
      isSeriesValue(instrument, carriedOver) && (current === null || isSeriesValue(instrument, current)),
  ),
);

function parseEntry(body: string): Entry | undefined {
  const result = v.safeParse(StoredEntry, body);
  return result.success ? { ...result.output, confirmed: false } : undefined;
}
