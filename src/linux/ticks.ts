// The unit in which the kernel gives the start times of processes to user space.

/** USER_HZ, the unit of the times in /proc/PID/stat: 100 on every architecture that treewarden runs on (proc(5)). */
export const TICKS_PER_SECOND = 100;
export const NS_PER_TICK = 1e9 / TICKS_PER_SECOND;
export const MS_PER_TICK = 1e3 / TICKS_PER_SECOND;

/** `ns` nanoseconds since boot (CLOCK_BOOTTIME) in clock ticks: the clock of a process's start time. */
export function bootTicks(ns: number): number {
  return Math.floor(ns / NS_PER_TICK);
}
