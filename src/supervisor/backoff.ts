// When a process that ended is started again: soon, and without end.

/** A process that lived this long has earned a new start at once. */
const steadyMs = 5000;
const firstMs = 50;
// With the time a start takes, whatever dies is back within a second.
const longestMs = 500;

/**
 * Milliseconds to wait before the next start: none for the first death and after a steady life, else twice the last
 * wait up to half a second. `lastMs` is what this function gave before, undefined for the first death.
 */
export function restartDelay(lastMs: number | undefined, livedMs: number): number {
  if (lastMs === undefined || livedMs >= steadyMs) return 0;
  return Math.min(longestMs, Math.max(firstMs, lastMs * 2));
}
