// Exponential histograms of OpenTelemetry's data model (metrics/data-model.md, ExponentialHistogram): buckets that each
// are wider by the same factor, so that they fit any range of values. Bucket i holds the values in
// (2^(i/2^scale), 2^((i+1)/2^scale)].

/** The most buckets, OpenTelemetry's default: the scale is lowered until the values fit into them. */
export const EXPONENTIAL_BUCKETS = 160;
/** The finest scale, OpenTelemetry's default, and one at which all numbers fit into two buckets. */
export const FINEST_SCALE = 20;
export const COARSEST_SCALE = -10;

export interface ExponentialValue {
  readonly scale: number;
  /** How many values were 0. */
  readonly zeros: number;
  /** The index of the first bucket. */
  readonly offset: number;
  readonly counts: readonly number[];
}

export const noObservations: ExponentialValue = { scale: FINEST_SCALE, zeros: 0, offset: 0, counts: [] };

export class ExponentialBuckets {
  private scale = FINEST_SCALE;
  private zeros = 0;
  private offset = 0;
  private counts: number[] = [];

  /** `value` must be finite; one below 0 counts as 0. */
  observe(value: number): void {
    if (value <= 0) {
      this.zeros += 1;
      return;
    }
    const index = Math.ceil(Math.log2(value) * 2 ** this.scale) - 1;
    this.add(index, 1);
  }

  get value(): ExponentialValue {
    const { scale, zeros, offset, counts } = this;
    return { scale, zeros, offset, counts };
  }

  /** Adds the counts of another histogram. */
  addAll({ scale, zeros, offset, counts }: ExponentialValue): void {
    this.zeros += zeros;
    if (scale < this.scale) this.coarsen(this.scale - scale);
    // Adding may coarsen this histogram further.
    for (const [i, count] of counts.entries())
      if (count > 0) this.add(Math.floor((offset + i) / 2 ** (scale - this.scale)), count);
  }

  /** `index`: at the present scale. */
  private add(index: number, count: number): void {
    if (this.counts.length === 0) {
      this.offset = index;
      this.counts = [count];
      return;
    }
    const change = this.coarseningFor(index);
    if (change > 0) this.coarsen(change);
    const at = index >> change;
    while (at < this.offset) {
      this.counts.unshift(0);
      this.offset -= 1;
    }
    while (at >= this.offset + this.counts.length) this.counts.push(0);
    const place = at - this.offset;
    this.counts[place] = (this.counts[place] ?? 0) + count;
  }

  /** By how much the scale must be lowered so that this bucket fits beside the others. */
  private coarseningFor(index: number): number {
    let low = Math.min(index, this.offset);
    let high = Math.max(index, this.offset + this.counts.length - 1);
    let change = 0;
    for (; high - low >= EXPONENTIAL_BUCKETS; change += 1) {
      low >>= 1;
      high >>= 1;
    }
    return change;
  }

  /** Lowers the scale by `change`: each time two neighbours become one bucket. */
  private coarsen(change: number): void {
    const counts: number[] = [];
    const offset = this.offset >> change;
    for (const [i, count] of this.counts.entries()) {
      const place = ((this.offset + i) >> change) - offset;
      counts[place] = (counts[place] ?? 0) + count;
    }
    this.scale -= change;
    this.offset = offset;
    this.counts = counts;
  }
}

/** Both together. */
export function addExponential(
  a: ExponentialValue | undefined,
  b: ExponentialValue | undefined,
): ExponentialValue | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const sum = new ExponentialBuckets();
  sum.addAll(a);
  sum.addAll(b);
  return sum.value;
}

/** Whether `value` is such a histogram, with no more buckets than allowed. */
export function isExponentialValue(value: unknown): value is ExponentialValue {
  if (typeof value !== "object" || value === null) return false;
  if (!("scale" in value && "zeros" in value && "offset" in value && "counts" in value)) return false;
  const { scale, zeros, offset, counts } = value;
  return (
    isWithin(scale, COARSEST_SCALE, FINEST_SCALE) &&
    isWithin(zeros, 0, Number.MAX_SAFE_INTEGER) &&
    isWithin(offset, -LARGEST_INDEX, LARGEST_INDEX) &&
    Array.isArray(counts) &&
    counts.length <= EXPONENTIAL_BUCKETS &&
    counts.every((count) => isWithin(count, 0, Number.MAX_SAFE_INTEGER))
  );
}

/** The index of the largest number at the finest scale, and a little more: it fits 32 bits. */
const LARGEST_INDEX = 1_100 * 2 ** FINEST_SCALE;

function isWithin(value: unknown, low: number, high: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= low && value <= high;
}
