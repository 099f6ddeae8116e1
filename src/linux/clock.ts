// clock_gettime(2): nanoseconds as numbers. Exact to 1 ns up to 104 days of uptime, to 2 ns up to 208, and so on;
// the time of day to 256 ns. The clocks are the host's, also in a time namespace, so that they fit the kernel's events.
import { bindLibc, checked } from "./libc.ts";
import { clockShifts } from "./time-namespace.ts";

const libc = bindLibc({ clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });

// time.h
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;

// struct timespec: two 64-bit numbers; tv_nsec fits 32 bits.
const timespec = new Uint32Array(new ArrayBuffer(16));

/**
 * A pid cannot be reused within 2 ms of the fork that it was given to: the kernel takes the next free one (alloc_pid of
 * kernel/pid.c), and wrapping around the smallest usual pid_max, 32,768, in 2 ms takes sixteen forks a microsecond; around
 * one of 1,024, 500 forks a millisecond. Of a process that was forked earlier nobody knows how soon it can be. A process that may choose pids
 * (clone3's set_tid, CAP_CHECKPOINT_RESTORE) can only replace one of its own processes by another one.
 */
export const PID_STAYS_NS = 2e6;

function now(clock: number): number {
  checked("clock_gettime", libc.clock_gettime(clock, timespec));
  return ((timespec[1] ?? 0) * 2 ** 32 + (timespec[0] ?? 0)) * 1e9 + (timespec[2] ?? 0);
}

/** Nanoseconds of CLOCK_MONOTONIC, the clock of kernel events: stands still while the machine is suspended. */
export function monotonicNow(): number {
  return now(CLOCK_MONOTONIC) - clockShifts.monotonicNs;
}

/** Nanoseconds since boot, suspended time included: the clock of a process's start time. */
export function boottimeNow(): number {
  return now(CLOCK_BOOTTIME) - clockShifts.boottimeNs;
}

/**
 * Nanoseconds that the machine was suspended since boot: CLOCK_BOOTTIME - CLOCK_MONOTONIC. The result is too large by
 * the time between two system calls and never too small, so that no event seems older than its process.
 */
export function suspendedFor(): number {
  const monotonic = monotonicNow();
  return boottimeNow() - monotonic;
}

/** Nanoseconds to add to CLOCK_MONOTONIC, the time of a kernel event, to get the time of day. */
export function wallClockOffset(): number {
  return realtimeNow() - monotonicNow();
}

/** When this boot began, in milliseconds since 1970-01-01T00:00:00Z; a clock that is set afterwards changes it. */
export function bootTimeMs(): number {
  return Math.round((realtimeNow() - boottimeNow()) / 1e6);
}

/** Nanoseconds since 1970-01-01T00:00:00Z. */
export function realtimeNow(): number {
  return now(CLOCK_REALTIME);
}
