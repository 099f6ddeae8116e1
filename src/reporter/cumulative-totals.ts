// The reporter's side of the totals: the living warden's absolute values, on top of what its dead predecessors of the
// same run had reached, so that no counter goes back because a process was killed.
import {
  closedSets,
  type InstrumentName,
  instrumentNamed,
  instruments,
  isInstrument,
} from "../report/instruments.ts";
import { seriesKey } from "../report/totals.ts";
import type { Change, HistogramValue } from "../report/wire.ts";

type Total = number | HistogramValue;

export interface CumulativeSeries {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
  readonly value: Total;
}

/** One series as the journal remembers it; without a body it is forgotten. */
export interface CumulativeRow {
  readonly key: string;
  readonly body: string | null;
}

interface Entry {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
  kept: boolean;
  /** What dead wardens had reached, and what the reporter counts itself. */
  base: Total;
  /** The living warden's; null if it has not said any. */
  current: Total | null;
  /** Named since the last hello. */
  named: boolean;
  /** When its warden died, ms since the epoch. */
  since: number;
}

/** A tree that its warden's successor does not know stays as long as one that stopped. */
const STAY_MS = 3_600_000;
/** Such trees, at most: or else wardens that die again and again would leave ever more. */
const ORPHANS = 2_000;

/** The instruments to which the reporter adds. */
const shared: readonly InstrumentName[] = ["exportFailures", "queueDropped"];

export const instrumentNames: readonly InstrumentName[] = Object.keys(instruments).filter(isInstrument);

export class CumulativeTotals {
  private readonly entries = new Map<string, Entry>();
  private readonly changed = new Set<string>();

  constructor() {
    for (const name of shared)
      for (const values of closedSets(instrumentNamed(name))) this.entry(name, values);
  }

  /** What the reporter counts itself. */
  add(instrument: InstrumentName, values: readonly string[], n: number): void {
    const entry = this.entry(instrument, values);
    entry.base = plus(entry.base, n);
    this.changed.add(seriesKey(instrument, values));
  }

  /** A hello: everything will be told again, by the same warden or by a new one. `now`: ms since the epoch. */
  greeted(newWarden: boolean, now: number): void {
    for (const entry of this.entries.values()) entry.named = false;
    if (newWarden) this.fold(now);
  }

  apply(changes: readonly Change[], whole: boolean): void {
    for (const { instrument, values, value, kept } of changes) {
      if (value === null) {
        this.forget(seriesKey(instrument, values));
        continue;
      }
      const entry = this.entry(instrument, values);
      entry.current = value;
      entry.kept = kept;
      entry.named = true;
      this.changed.add(seriesKey(instrument, values));
    }
    if (!whole) return;
    for (const [key, entry] of this.entries) {
      if (!entry.named && entry.current !== null && mayGo(entry.instrument)) this.forget(key);
    }
  }

  /** Every series, with its whole value. */
  *series(now: number): Generator<CumulativeSeries> {
    for (const [key, entry] of this.entries) {
      const { instrument, values, base, current } = entry;
      const isOver = current === null && isPerTree(instrument) && !entry.kept && entry.since < now - STAY_MS;
      if (isOver) this.forget(key);
      else yield { instrument, values, value: current === null ? base : plus(base, current) };
    }
  }

  /** What changed since the last call, for the journal. */
  takeChanged(): CumulativeRow[] {
    const rows: CumulativeRow[] = [];
    for (const key of this.changed) {
      const entry = this.entries.get(key);
      if (entry === undefined) rows.push({ key, body: null });
      else {
        const { instrument, values, kept, base, current, since } = entry;
        rows.push({ key, body: JSON.stringify({ instrument, values, kept, base, current, since }) });
      }
    }
    this.changed.clear();
    return rows;
  }

  /** The journal did not take these: they will come again. */
  putBack(rows: readonly CumulativeRow[]): void {
    for (const { key } of rows) this.changed.add(key);
  }

  /** What an earlier reporter of this run had remembered. */
  restore(bodies: readonly string[]): void {
    for (const body of bodies) {
      const saved = parseEntry(body);
      if (saved !== undefined) this.entries.set(seriesKey(saved.instrument, saved.values), saved);
    }
  }

  /** The dead warden's values become base. Its gauges are over, but that of a tree, of which nothing runs any more. */
  private fold(now: number): void {
    const orphans: [string, Entry][] = [];
    for (const [key, entry] of this.entries) {
      if (entry.current !== null) {
        entry.since = now;
        this.changed.add(key);
        if (instrumentNamed(entry.instrument).kind !== "gauge") entry.base = plus(entry.base, entry.current);
        else if (!isPerTree(entry.instrument)) this.forget(key);
        entry.current = null;
      }
      if (entry.instrument === "treeDuration" || entry.instrument === "treeProcesses")
        orphans.push([key, entry]);
    }
    // Each tree has two series.
    const tooMany = orphans.length - 2 * ORPHANS;
    if (tooMany <= 0) return;
    orphans.sort(([, a], [, b]) => Number(a.kept) - Number(b.kept) || a.since - b.since);
    for (const [key] of orphans.slice(0, tooMany)) this.forget(key);
  }

  private entry(instrument: InstrumentName, values: readonly string[]): Entry {
    const key = seriesKey(instrument, values);
    const known = this.entries.get(key);
    if (known !== undefined) return known;
    const base = zeroOf(instrument);
    const made = { instrument, values, kept: false, base, current: null, named: false, since: 0 };
    this.entries.set(key, made);
    return made;
  }

  private forget(key: string): void {
    if (this.entries.delete(key)) this.changed.add(key);
  }
}

/** Trees come and go. */
function isPerTree(instrument: InstrumentName): boolean {
  return instrument === "treeDuration" || instrument === "treeProcesses";
}

/** Series that a living warden may take back; counters it never does. */
function mayGo(instrument: InstrumentName): boolean {
  return isPerTree(instrument) || instrumentNamed(instrument).kind === "gauge";
}

function zeroOf(instrument: InstrumentName): Total {
  const { kind, buckets } = instrumentNamed(instrument);
  return kind === "histogram" ? { counts: new Array((buckets?.length ?? 0) + 1).fill(0), sum: 0 } : 0;
}

function plus(base: Total, more: Total): Total {
  if (typeof base === "number" || typeof more === "number") return Number(base) + Number(more);
  return { counts: more.counts.map((count, i) => count + (base.counts[i] ?? 0)), sum: base.sum + more.sum };
}

function parseEntry(body: string): Entry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (!("instrument" in value && "values" in value && "base" in value && "current" in value))
    return undefined;
  const { instrument, values, base, current } = value;
  if (typeof instrument !== "string" || !isInstrument(instrument)) return undefined;
  if (!Array.isArray(values) || !values.every((each) => typeof each === "string")) return undefined;
  const buckets = instrumentNamed(instrument).buckets?.length;
  if (!isTotal(base, buckets) || !(current === null || isTotal(current, buckets))) return undefined;
  const kept = "kept" in value && value.kept === true;
  const since = "since" in value && typeof value.since === "number" ? value.since : 0;
  return { instrument, values, kept, base, current, named: false, since };
}

function isTotal(value: unknown, buckets: number | undefined): value is Total {
  if (buckets === undefined) return typeof value === "number";
  if (typeof value !== "object" || value === null || !("counts" in value && "sum" in value)) return false;
  return Array.isArray(value.counts) && value.counts.length === buckets + 1 && typeof value.sum === "number";
}
