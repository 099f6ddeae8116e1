// Restart backoff: when a child that has ended is started again. There is no limit to the number of restarts.

/** A process that ran for this long is restarted at once. */
const steadyMs = 5000;
const firstMs = 50;
// Together with the time that a start takes, a child is back within one second.
const longestMs = 500;

/**
 * Milliseconds to wait before the next start: 0 after the first failure and after a run of at least 5 s, otherwise
 * twice the last delay, from 50 ms up to 500 ms. `lastMs` is the previous result, undefined at the first failure.
 */
export function restartDelay(lastMs: number | undefined, livedMs: number): number {
  if (lastMs === undefined || livedMs >= steadyMs) return 0;
  return Math.min(longestMs, Math.max(firstMs, lastMs * 2));
}
