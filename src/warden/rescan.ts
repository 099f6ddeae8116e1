// When to look at all of /proc again: after a loss, but not so often that the look itself makes more loss.

/** A rescan waits this long for the burst that made the loss to end. */
const SETTLE_NS = 100e6;
/** The share of a CPU that rescans may take: after one that took t, the next waits at least this many times t. */
const REST = 20;

export class Rescan {
  private wanted = false;
  private since = 0;
  private notBefore = 0;

  /** A loss was told at `now` (ns, any clock that never goes back). */
  want(now: number): void {
    if (!this.wanted) this.since = now;
    this.wanted = true;
  }

  /** Nanoseconds from `now` until a rescan is due; undefined if none is wanted. */
  dueIn(now: number): number | undefined {
    return this.wanted ? Math.max(0, Math.max(this.since + SETTLE_NS, this.notBefore) - now) : undefined;
  }

  /** A rescan was done, from `start` to `end`. */
  done(start: number, end: number): void {
    this.wanted = false;
    this.notBefore = end + (end - start) * REST;
  }
}
