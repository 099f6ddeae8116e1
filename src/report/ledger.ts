// The reporter's side of the totals: the living warden's absolute values, on top of what its dead predecessors of the
// same run had reached, so that no counter goes back because a process was restarted.
import {
  closedSets,
  type InstrumentName,
  instrumentNamed,
  instruments,
  isInstrument,
  reportersOwn,
} from "./instruments.ts";
import { seriesKey } from "./totals.ts";
import type { Change, HistogramValue } from "./wire.ts";

export interface LedgerSeries {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
  readonly value: number | HistogramValue;
  readonly kept: boolean;
}

interface BaseSeries extends LedgerSeries {
  /** When its warden died, ms since the epoch. */
  readonly since: number;
}

/** A tree that its warden's successor does not know stays as long as one that stopped. */
const STAY_MS = 3_600_000;

export class Ledger {
  private readonly base = new Map<string, BaseSeries>();
  private readonly current = new Map<string, LedgerSeries>();
  private readonly own = new Map<string, LedgerSeries>();
  /** Series named since the last hello. */
  private named = new Set<string>();

  constructor() {
    for (const name of reportersOwn) {
      for (const values of closedSets(instrumentNamed(name))) this.setOwn(name, values, 0);
    }
  }

  /** What the reporter counts itself. */
  addOwn(instrument: InstrumentName, values: readonly string[], n: number): void {
    const before = this.own.get(seriesKey(instrument, values))?.value ?? 0;
    this.setOwn(instrument, values, (typeof before === "number" ? before : 0) + n);
  }

  /** A hello: everything will be told again, by the same warden or by a new one. `now`: ms since the epoch. */
  greeted(newWarden: boolean, now: number): void {
    this.named = new Set();
    if (newWarden) this.fold(now);
  }

  apply(changes: readonly Change[], whole: boolean): void {
    for (const { instrument, values, value, kept } of changes) {
      const key = seriesKey(instrument, values);
      if (value === null) {
        this.current.delete(key);
        this.base.delete(key);
        continue;
      }
      this.named.add(key);
      this.current.set(key, { instrument, values, value, kept });
    }
    if (!whole) return;
    for (const [key, series] of this.current)
      if (!this.named.has(key) && !series.kept) this.current.delete(key);
  }

  /** Every series, with its whole value. */
  *series(now: number): Generator<LedgerSeries> {
    yield* this.own.values();
    for (const [key, series] of this.current) {
      const before = this.base.get(key);
      yield before === undefined ? series : { ...series, value: sum(before, series) };
    }
    for (const [key, series] of this.base) {
      if (this.current.has(key)) continue;
      if (isPerTree(series) && !series.kept && series.since < now - STAY_MS) this.base.delete(key);
      else yield series;
    }
  }

  /** The base, for the journal: a reporter that is restarted needs it. */
  save(): string {
    return JSON.stringify([...this.base.values()]);
  }

  restore(saved: string): void {
    const list: unknown = JSON.parse(saved);
    for (const series of Array.isArray(list) ? list : []) {
      if (!isSeries(series)) continue;
      this.base.set(seriesKey(series.instrument, series.values), series);
    }
  }

  /** The dead warden's values become base. Its gauges are over, but that of a tree, of which nothing runs any more. */
  private fold(now: number): void {
    for (const [key, series] of this.current) {
      const before = this.base.get(key);
      const isGauge = instrumentNamed(series.instrument).kind === "gauge";
      if (isPerTree(series) && isGauge) this.base.set(key, { ...series, value: 0, since: now });
      else if (!isGauge) {
        this.base.set(key, {
          ...series,
          value: before === undefined ? series.value : sum(before, series),
          since: now,
        });
      }
    }
    this.current.clear();
  }

  private setOwn(instrument: InstrumentName, values: readonly string[], value: number): void {
    this.own.set(seriesKey(instrument, values), { instrument, values, value, kept: true });
  }
}

/** Trees come and go; other series are few and stay. */
function isPerTree(series: LedgerSeries): boolean {
  return series.instrument === "treeDuration" || series.instrument === "treeProcesses";
}

function sum(base: LedgerSeries, current: LedgerSeries): number | HistogramValue {
  const { value } = current;
  if (instrumentNamed(current.instrument).kind === "gauge") return value;
  if (typeof base.value === "number" || typeof value === "number") return Number(base.value) + Number(value);
  const before = base.value.counts;
  return {
    counts: value.counts.map((count, i) => count + (before[i] ?? 0)),
    sum: base.value.sum + value.sum,
  };
}

function isSeries(value: unknown): value is BaseSeries {
  if (typeof value !== "object" || value === null) return false;
  if (!("instrument" in value && "values" in value && "value" in value)) return false;
  return (
    typeof value.instrument === "string" && isInstrument(value.instrument) && Array.isArray(value.values)
  );
}

export const instrumentNames: readonly InstrumentName[] = Object.keys(instruments).filter(isInstrument);
