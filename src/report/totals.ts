// The warden's counters, gauges and histograms. A handle is asked for once and then costs an addition; what changed
// since it was last told is remembered, so that absolute values cross to the reporter, each at most once a batch.
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

export interface Counter {
  /** Adds `n`, which must not be negative. */
  add(n: number): void;
}

export interface Gauge {
  set(value: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

/** Role and rule names are the administrator's, so this is never reached by honest use. */
export const SERIES_LIMIT = 10_000;

/** One instrument with one set of attribute values. */
export class Series implements Counter, Gauge, Histogram {
  readonly key: string;
  /** Instrument and values as they begin a change on the wire. */
  readonly head: string;
  private readonly bounds: readonly number[];
  /** How many observations each bucket alone took, the infinite one last; empty if this is no histogram. */
  private readonly counts: number[];
  private value = 0;
  private owner: Totals | undefined;
  /** Stays in the reporter's totals when a later warden does not know it. */
  kept = false;
  changed = false;
  private removed = false;

  /** @internal made by Totals only */
  constructor(owner: Totals | undefined, name: InstrumentName, values: readonly string[]) {
    const instrument = instrumentNamed(name);
    this.key = seriesKey(name, values);
    this.head = `["${name}",${JSON.stringify(values)},`;
    this.bounds = instrument.buckets ?? [];
    this.counts = instrument.kind === "histogram" ? new Array(this.bounds.length + 1).fill(0) : [];
    this.owner = owner;
  }

  add(n: number): void {
    if (!(n > 0) || !Number.isFinite(n)) return;
    this.value += n;
    this.touch();
  }

  set(value: number): void {
    if (value === this.value || !Number.isFinite(value)) return;
    this.value = value;
    this.touch();
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    let bucket = 0;
    while (bucket < this.bounds.length && value > (this.bounds[bucket] ?? 0)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.value += Math.max(value, 0);
    this.touch();
  }

  touch(): void {
    if (this.changed) return;
    this.changed = true;
    this.owner?.note(this);
  }

  /** Tells the reporter that this series is gone; whoever still holds the handle changes nothing any more. */
  leave(): void {
    this.removed = true;
    this.touch();
    this.owner = undefined;
  }

  /** This series as one change of the wire, in JSON. */
  toChange(): string {
    if (this.removed) return `${this.head}null]`;
    const tail = this.kept ? ",1]" : "]";
    if (this.counts.length === 0) return `${this.head}${this.value}${tail}`;
    return `${this.head}{"counts":[${this.counts.join(",")}],"sum":${this.value}}${tail}`;
  }
}

export function seriesKey(name: InstrumentName, values: readonly string[]): string {
  return values.length === 0 ? name : `${name}\0${values.join("\0")}`;
}

export class Totals {
  private readonly series = new Map<string, Series>();
  private queue: Series[] = [];
  private taken = 0;

  /** Every series whose attributes are a closed list exists at once, at 0. */
  constructor() {
    for (const name of instrumentNames)
      for (const values of closedSets(instrumentNamed(name))) this.find(name, values);
  }

  /** The handle of a counter; the same for the same attributes. */
  counter<N extends InstrumentOf<"counter">>(name: N, attributes: AttributesOf<N>): Counter {
    return this.find(name, valuesOf(instruments[name], attributes));
  }

  gauge<N extends InstrumentOf<"gauge">>(name: N, attributes: AttributesOf<N>): Gauge {
    return this.find(name, valuesOf(instruments[name], attributes));
  }

  histogram<N extends InstrumentOf<"histogram">>(name: N, attributes: AttributesOf<N>): Histogram {
    return this.find(name, valuesOf(instruments[name], attributes));
  }

  /** Forgets a series, for example the info of a policy no longer in force; its handle must not be used again. */
  remove<N extends InstrumentName>(name: N, attributes: AttributesOf<N>): void {
    const series = this.series.get(seriesKey(name, valuesOf(instruments[name], attributes)));
    if (series !== undefined) this.removeSeries(series);
  }

  /** @internal for TreeTotals, which bounds its own */
  find(name: InstrumentName, values: readonly string[], limit = SERIES_LIMIT): Series {
    const key = seriesKey(name, values);
    const known = this.series.get(key);
    if (known !== undefined) return known;
    if (this.series.size < limit) return this.make(name, values);
    const overflow = values.map(() => "overflow");
    return this.series.get(seriesKey(name, overflow)) ?? this.make(name, overflow);
  }

  /** @internal */
  removeSeries(series: Series): void {
    if (this.series.get(series.key) !== series) return;
    this.series.delete(series.key);
    series.leave();
  }

  /** @internal */
  note(series: Series): void {
    this.queue.push(series);
  }

  /** Something changed that was not yet taken. */
  get pending(): boolean {
    return this.taken < this.queue.length;
  }

  /** Everything counts as changed: a new reporter knows nothing. */
  markAllChanged(): void {
    this.queue = [...this.series.values()];
    this.taken = 0;
    for (const series of this.queue) series.changed = true;
  }

  /** Changes for the wire, each one's JSON text, in at most `limit` bytes together (but one if there is one). */
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
    const made = new Series(this, name, values);
    this.series.set(made.key, made);
    made.touch();
    return made;
  }
}

function valuesOf(instrument: Instrument, attributes: Readonly<Record<string, string>>): string[] {
  return instrument.attributes.map((name) => attributes[name] ?? "");
}
