// Limits the number of kills a minute. A higher number means that the policy is wrong or is being abused.

const WINDOW_NS = 60e9;

/** A sliding window of one minute. */
export class KillRate {
  private readonly max: number;
  private readonly times: number[] = [];

  /** `max`: permits in any 60 seconds. */
  constructor(max: number) {
    this.max = max;
  }

  /** Takes one permit at `now` (ns, CLOCK_MONOTONIC); false if no permit of the last 60 seconds is left. */
  take(now: number): boolean {
    while (this.times.length > 0 && (this.times[0] ?? 0) <= now - WINDOW_NS) this.times.shift();
    if (this.times.length >= this.max) return false;
    this.times.push(now);
    return true;
  }
}
