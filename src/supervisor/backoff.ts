// Restart backoff: when a child that has ended is started again. There is no limit to the number of restarts.

/** A child that ran for this long did not fail at its start, so it is restarted at once. */
const STABLE_MS = 5000;
const SHORTEST_DELAY_MS = 50;
/** Together with the time that a start takes, a child is back within one second. */
const LONGEST_DELAY_MS = 500;

/**
 * Milliseconds to wait before the next start: 0 after the first failure and after a run of at least 5 s, otherwise
 * twice the last delay, from 50 ms up to 500 ms. `lastMs` is the previous result, undefined at the first failure.
 */
export function restartDelay(lastMs: number | undefined, livedMs: number): number {
  if (lastMs === undefined || livedMs >= STABLE_MS) return 0;
  return Math.min(LONGEST_DELAY_MS, Math.max(SHORTEST_DELAY_MS, lastMs * 2));
}
