// Which process. A pid alone names another process as soon as its owner has ended and the kernel gives it out again;
// the pid and the start time together name one process of this boot.

/** A process (thread group) of this boot. */
export interface ProcessKey {
  readonly pid: number;
  /** Clock ticks (USER_HZ) from boot to its start, as field 22 of /proc/PID/stat has it. */
  readonly startTicks: number;
  /** `startTicks` is the kernel's own value; otherwise it comes from the time of an event, up to START_SLACK_TICKS off. */
  readonly startExact: boolean;
}

/** An event's time is that of the end of a fork, so that a start derived from it may be this many ticks late. */
export const START_SLACK_TICKS = 2;

/** Milliseconds in a clock tick: USER_HZ is 100 on every architecture that Linux runs on today (proc(5)). */
const TICK_MS = 10;

/** Whether `startTicks` can be the start of `process`. `exact`: it is the kernel's own value. */
export function startsAt(process: ProcessKey, startTicks: number, exact = true): boolean {
  const slack = exact && process.startExact ? 0 : START_SLACK_TICKS;
  return Math.abs(process.startTicks - startTicks) <= slack;
}

/** Whether both are the same process, as far as their start times can tell. */
export function isSameProcess(a: ProcessKey, b: ProcessKey): boolean {
  return a.pid === b.pid && startsAt(a, b.startTicks, b.startExact);
}

/** The last text that was made, and its time. Invalidated by: nothing, the time is compared. */
let lastMs = Number.NaN;
let lastText = "";

/**
 * `process.creation.time`: RFC 3339, UTC, microseconds; undefined if the start is not exactly known. It is the same text
 * in every record of one process. `bootTimeMs`: milliseconds since the epoch at which start ticks are 0, fixed once per
 * boot.
 */
export function creationTime(process: ProcessKey, bootTimeMs: number): string | undefined {
  if (!process.startExact) return undefined;
  const ms = bootTimeMs + process.startTicks * TICK_MS;
  if (ms === lastMs) return lastText;
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return undefined;
  lastMs = ms;
  lastText = date.toISOString().replace("Z", "000Z");
  return lastText;
}
