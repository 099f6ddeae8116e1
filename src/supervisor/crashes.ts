// Counts the crashes of a process that never ran for long: something that it opens at its start makes it crash.

/** Signals that end a program for a fault of its own (signal(7)). SIGKILL and SIGTERM come from somebody else. */
export const crashSignals = ["SIGSEGV", "SIGBUS", "SIGILL", "SIGTRAP", "SIGABRT", "SIGFPE"] as const;
/** A start takes seconds on a slow host, and the sensor's first event may take some more. */
const EARLY_MS = 30_000;
/** One crash may be chance; three in a row are not. */
export const CRASH_LIMIT = 3;

/**
 * The number of early crashes in a row, after `before` of them and a process that ended by `signal` (null: not by one
 * that is known) after `livedMs` milliseconds.
 */
export function countEarlyCrashes(before: number, signal: string | number | null, livedMs: number): number {
  return crashSignals.some((crash) => crash === signal) && livedMs < EARLY_MS ? before + 1 : 0;
}
