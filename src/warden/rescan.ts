// Decides when to rescan /proc: after a loss, but not so often that the scans themselves cause further losses.

/** The time that a rescan waits for the burst that caused the loss to end. */
const SETTLE_NS = 100e6;
/** Limits the CPU time of rescans: after one that took t, the next waits at least this many times t. */
const REST = 20;

export class Rescan {
  private wanted = false;
  private since = 0;
  private notBefore = 0;

  /** Requests a rescan after a loss at `now` (ns of any monotonic clock). */
  want(now: number): void {
    if (!this.wanted) this.since = now;
    this.wanted = true;
  }

  /** Nanoseconds from `now` until a rescan is due; undefined if none is wanted. */
  dueIn(now: number): number | undefined {
    return this.wanted ? Math.max(0, Math.max(this.since + SETTLE_NS, this.notBefore) - now) : undefined;
  }

  /** To be called when a rescan begins: a loss from then on asks for another. */
  begun(): void {
    this.wanted = false;
  }

  /** To be called after a rescan that took from `start` to `end`. */
  done(start: number, end: number): void {
    this.notBefore = end + (end - start) * REST;
  }
}
