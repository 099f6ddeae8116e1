// Counts the early crashes of a process: several in a row mean that something that it opens at its start crashes it.

/** Signals caused by a fault of the program itself (signal(7)). SIGKILL and SIGTERM are sent by another process. */
export const crashSignals = ["SIGSEGV", "SIGBUS", "SIGILL", "SIGTRAP", "SIGABRT", "SIGFPE"] as const;
/** On a slow host a start takes seconds, and the sensor's first event may come seconds later. */
const EARLY_MS = 30_000;
/** A single crash may be a coincidence; three in a row are not. */
export const CRASH_LIMIT = 3;

/**
 * The number of early crashes in a row, given `previous` crashes and a process that was ended by `signal` after
 * `livedMs` milliseconds. `signal` is null if the process exited or its end is not known.
 */
export function countEarlyCrashes(previous: number, signal: string | number | null, livedMs: number): number {
  return crashSignals.some((crash) => crash === signal) && livedMs < EARLY_MS ? previous + 1 : 0;
}
