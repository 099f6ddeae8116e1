// The warden's counters, gauges and histograms. Code that counts gets a handle once; counting is then an addition.
// Changed series are queued, and their absolute values are sent to the reporter, each at most once per batch.
import { ExponentialBuckets } from "./exponential-buckets.ts";
import {
  type AttributesOf,
  closedSets,
  type Instrument,
  type InstrumentName,
  type InstrumentOf,
  instrumentNamed,
  instrumentNames,
  instruments,
} from "./instruments.ts";
import { SeriesMap } from "./series-map.ts";

export interface Counter {
  /** Adds `n`, which must not be negative. */
  add(n: number): void;
}

export interface Gauge {
  /** Values that are not finite are ignored. */
  set(value: number): void;
}

export interface Histogram {
  /** `value` is in the instrument's unit. Values that are not finite are ignored. */
  observe(value: number): void;
}

/** The most series; further ones count under `overflow`. Normal use never gets there: administrators name the rules. */
export const SERIES_LIMIT = 10_000;

/** One instrument with one set of attribute values. */
export class Series implements Counter, Gauge, Histogram {
  readonly instrument: InstrumentName;
  /** One for each of the instrument's `attributes`. Longer texts are made of them when they are needed: trees are long. */
  readonly values: readonly string[];
  private readonly bounds: readonly number[];
  /** The observations in each bucket alone, the infinite one last; undefined unless this is a histogram. */
  private readonly counts: number[] | undefined;
  private readonly exponential: ExponentialBuckets | undefined;
  private value = 0;
  private owner: Totals | undefined;
  /** Whether the reporter keeps the series even if a later warden does not send it. */
  kept = false;
  /** Whether the series is in the queue of its totals. */
  changed = false;
  private removed = false;

  /** @internal Created by Totals only. `values`: one for each of the instrument's `attributes`, in their order. */
  constructor(owner: Totals, name: InstrumentName, values: readonly string[]) {
    const instrument = instrumentNamed(name);
    this.instrument = name;
    this.values = values;
    this.bounds = instrument.buckets ?? noBounds;
    this.counts = instrument.kind === "histogram" ? new Array(this.bounds.length + 1).fill(0) : undefined;
    this.exponential =
      instrument.kind === "histogram" && owner.isExponential ? new ExponentialBuckets() : undefined;
    this.owner = owner;
  }

  /** The value of a counter or gauge, the sum of a histogram. */
  get total(): number {
    return this.value;
  }

  add(n: number): void {
    if (!(n > 0) || !Number.isFinite(n)) return;
    this.value += n;
    this.markChanged();
  }

  set(value: number): void {
    if (value === this.value || !Number.isFinite(value)) return;
    this.value = value;
    this.markChanged();
  }

  observe(value: number): void {
    const { counts } = this;
    if (counts === undefined || !Number.isFinite(value)) return;
    let bucket = 0;
    while (bucket < this.bounds.length && value > (this.bounds[bucket] ?? 0)) bucket += 1;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
    this.value += Math.max(value, 0);
    this.exponential?.observe(value);
    this.markChanged();
  }

  /** Queues the series for sending. */
  markChanged(): void {
    if (this.changed) return;
    this.changed = true;
    this.owner?.enqueue(this);
  }

  /** Removes the series at the reporter too. Its handles have no effect any more. */
  remove(): void {
    this.removed = true;
    this.markChanged();
    this.owner = undefined;
  }

  /** The series as a `SeriesChange` in JSON. */
  toChange(): string {
    const head = `["${this.instrument}",${JSON.stringify(this.values)},`;
    if (this.removed) return `${head}null]`;
    const tail = this.kept ? ",1]" : "]";
    if (this.counts === undefined) return `${head}${this.value}${tail}`;
    const { exponential } = this;
    const more = exponential === undefined ? "" : `,"exponential":${JSON.stringify(exponential.value)}`;
    return `${head}{"counts":[${this.counts.join(",")}],"sum":${this.value}${more}}${tail}`;
  }
}

const noBounds: readonly number[] = [];

export class Totals {
  private readonly series = new SeriesMap<Series>();
  /** The changed series; those before index `taken` were sent. */
  private queue: Series[] = [];
  private taken = 0;

  /** Whether histograms have exponential buckets besides their own. */
  readonly isExponential: boolean;

  /** Creates all series whose attributes are closed lists, at 0. */
  constructor({ isExponential = false }: { readonly isExponential?: boolean } = {}) {
    this.isExponential = isExponential;
    for (const name of instrumentNames)
      for (const values of closedSets(instrumentNamed(name))) this.find(name, values);
  }

  /** The handle of a counter. The same attributes return the same handle. */
  counter<N extends InstrumentOf<"counter">>(name: N, attributes: AttributesOf<N>): Counter {
    return this.find(name, valuesOf(instruments[name], attributes));
  }

  gauge<N extends InstrumentOf<"gauge">>(name: N, attributes: AttributesOf<N>): Gauge {
    return this.find(name, valuesOf(instruments[name], attributes));
  }

  histogram<N extends InstrumentOf<"histogram">>(name: N, attributes: AttributesOf<N>): Histogram {
    return this.find(name, valuesOf(instruments[name], attributes));
  }

  /** Removes a series, for example the info of a policy no longer in force; its handle must not be used again. */
  remove<N extends InstrumentName>(name: N, attributes: AttributesOf<N>): void {
    const series = this.series.get(name, valuesOf(instruments[name], attributes));
    if (series !== undefined) this.removeSeries(series);
  }

  /** @internal Finds or creates a series; `values` as in a `SeriesChange`. TreeTotals passes its own `limit`. */
  find(name: InstrumentName, values: readonly string[], limit = SERIES_LIMIT): Series {
    const present = this.series.get(name, values);
    if (present !== undefined) return present;
    if (this.series.size < limit) return this.make(name, values);
    const overflow = values.map(() => "overflow");
    return this.series.get(name, overflow) ?? this.make(name, overflow);
  }

  /** @internal */
  removeSeries(series: Series): void {
    const { instrument, values } = series;
    if (this.series.get(instrument, values) !== series) return;
    this.series.delete(instrument, values);
    series.remove();
  }

  /** @internal Called by a series that changed. */
  enqueue(series: Series): void {
    this.queue.push(series);
  }

  /** Whether there are changes that `takeChanged` has not returned yet. */
  get pending(): boolean {
    return this.taken < this.queue.length;
  }

  /** Marks all series as changed, for a new reporter. */
  markAllChanged(): void {
    this.queue = [...this.series.values()];
    this.taken = 0;
    for (const series of this.queue) series.changed = true;
  }

  /** The sum of the values of all series of an instrument, since the warden's start. Goes through all series. */
  sumOf(name: InstrumentName): number {
    let sum = 0;
    for (const series of this.series.values()) if (series.instrument === name) sum += series.total;
    return sum;
  }

  /** Returns changes as JSON, at most `limit` bytes together (at least one if there is any). */
  takeChanged(limit: number): string[] {
    const changes: string[] = [];
    let size = 0;
    while (this.taken < this.queue.length) {
      const series = this.queue[this.taken];
      if (series === undefined) break;
      const change = series.toChange();
      size += Buffer.byteLength(change) + 1;
      if (size > limit && changes.length > 0) return changes;
      changes.push(change);
      series.changed = false;
      this.taken += 1;
    }
    this.queue = [];
    this.taken = 0;
    return changes;
  }

  private make(name: InstrumentName, values: readonly string[]): Series {
    const series = new Series(this, name, values);
    this.series.set(name, values, series);
    series.markChanged();
    return series;
  }
}

function valuesOf(instrument: Instrument, attributes: Readonly<Record<string, string>>): string[] {
  return instrument.attributes.map((name) => attributes[name] ?? "");
}
