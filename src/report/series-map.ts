// A map from series to what is kept for each.
import type { InstrumentName } from "./instruments.ts";

/**
 * The keys are an instrument and the values of its attributes. One map for each instrument, because the key in it is then
 * the value itself where there is one, such as a tree: a text of its own for each series would take 120 bytes.
 */
export class SeriesMap<T> {
  private readonly ofInstruments = new Map<InstrumentName, Map<string, T>>();
  private count = 0;

  get size(): number {
    return this.count;
  }

  get(instrument: InstrumentName, values: readonly string[]): T | undefined {
    return this.ofInstruments.get(instrument)?.get(keyOf(values));
  }

  /** Replaces what is kept for the series, if there is something. */
  set(instrument: InstrumentName, values: readonly string[], kept: T): void {
    let series = this.ofInstruments.get(instrument);
    if (series === undefined) {
      series = new Map();
      this.ofInstruments.set(instrument, series);
    }
    const { size } = series;
    series.set(keyOf(values), kept);
    this.count += series.size - size;
  }

  /** False if there was nothing. */
  delete(instrument: InstrumentName, values: readonly string[]): boolean {
    const isDeleted = this.ofInstruments.get(instrument)?.delete(keyOf(values)) === true;
    if (isDeleted) this.count -= 1;
    return isDeleted;
  }

  /** By instrument, and in the order in which they were set. What is deleted meanwhile is left out. */
  *values(): Generator<T> {
    for (const series of this.ofInstruments.values()) yield* series.values();
  }
}

/** No value holds a null character: names of programs, files and rules end at one. */
function keyOf(values: readonly string[]): string {
  return values.length === 1 ? (values[0] ?? "") : values.join("\0");
}
