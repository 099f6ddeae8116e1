// Counts what has happened lately.

/** Times are in any one unit, of a clock that never goes back. */
export class RecentCount {
  private readonly half: number;
  private start = Number.NEGATIVE_INFINITY;
  private current = 0;
  private previous = 0;

  /** What is counted happened within the last `half`, or within the two before: two numbers take no memory to speak of. */
  constructor(half: number) {
    this.half = half;
  }

  add(now: number, count = 1): void {
    this.advance(now);
    this.current += count;
  }

  /** How many there were. */
  at(now: number): number {
    this.advance(now);
    return this.previous + this.current;
  }

  /** How long until there may be fewer of those counted at `now`. */
  fewerIn(now: number): number {
    this.advance(now);
    return this.start + this.half - now;
  }

  private advance(now: number): void {
    const passed = now - this.start;
    if (passed < this.half) return;
    const isNext = passed < 2 * this.half;
    this.previous = isNext ? this.current : 0;
    this.start = isNext ? this.start + this.half : now;
    this.current = 0;
  }
}
