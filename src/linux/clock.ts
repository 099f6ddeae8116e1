// clock_gettime(2): nanoseconds as numbers. Exact to 1 ns up to 104 days of uptime, to 2 ns up to 208, and so on;
// the time of day to 256 ns.
import { bindLibc, checked } from "./libc.ts";

const libc = bindLibc({ clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });

// time.h
const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;

// struct timespec: two 64-bit numbers; tv_nsec fits 32 bits.
const timespec = new Uint32Array(new ArrayBuffer(16));

/**
 * A pid cannot be reused within this time: the kernel takes the next free one (alloc_pid of kernel/pid.c), and to go
 * round all 32,768 of the least usual pid_max in 2 ms takes sixteen forks a microsecond. A process that may choose pids
 * (clone3's set_tid, CAP_CHECKPOINT_RESTORE) can put one of its own in the place of another of its own.
 */
export const PID_STAYS_NS = 2e6;

function now(clock: number): number {
  checked("clock_gettime", libc.clock_gettime(clock, timespec));
  return ((timespec[1] ?? 0) * 2 ** 32 + (timespec[0] ?? 0)) * 1e9 + (timespec[2] ?? 0);
}

/** Nanoseconds of CLOCK_MONOTONIC, the clock of kernel events: stands still while the machine is suspended. */
export function monotonicNow(): number {
  return now(CLOCK_MONOTONIC);
}

/** Nanoseconds since boot, suspended time included: the clock of a process's start time. */
export function boottimeNow(): number {
  return now(CLOCK_BOOTTIME);
}

/**
 * Nanoseconds that the machine has been suspended since boot: CLOCK_BOOTTIME - CLOCK_MONOTONIC, by the time between two
 * system calls too much and never too little, so that no event seems older than the process it is about.
 */
export function suspendedFor(): number {
  const monotonic = monotonicNow();
  return boottimeNow() - monotonic;
}

/** Nanoseconds from CLOCK_MONOTONIC to the time of day: what makes a time of day out of the time of a kernel event. */
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
