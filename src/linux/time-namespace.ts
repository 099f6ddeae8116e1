// How far the clocks of this process are from the host's: those of a time namespace (time_namespaces(7), Linux 5.6) are
// shifted. What the kernel records has the host's clocks; clock_gettime(2) and the start times in /proc have those of the
// process that asks.
import { readFileSync, statSync } from "node:fs";
import { PROC_TIME_INIT_INO } from "./kernel-constants.ts";
import { NS_PER_TICK } from "./ticks.ts";

/** Nanoseconds that a clock of a time namespace is ahead of the host's. */
export interface ClockShifts {
  readonly monotonicNs: number;
  readonly boottimeNs: number;
}

const none: ClockShifts = { monotonicNs: 0, boottimeNs: 0 };

/** The text of /proc/PID/timens_offsets: a line for each clock, with its shift in seconds and nanoseconds. */
export function parseClockShifts(text: string): ClockShifts {
  const shiftOf = (clock: string): number => {
    const [, seconds, nanoseconds] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, "m").exec(text) ?? [];
    return Number(seconds ?? 0) * 1e9 + Number(nanoseconds ?? 0);
  };
  return { monotonicNs: shiftOf("monotonic"), boottimeNs: shiftOf("boottime") };
}

function ownShifts(): ClockShifts {
  try {
    // The file is about the namespace of future children, which is this process's own unless that is the host's.
    if (statSync("/proc/self/ns/time").ino === PROC_TIME_INIT_INO) return none;
    return parseClockShifts(readFileSync("/proc/self/timens_offsets", "latin1"));
  } catch {
    // The kernel has no time namespaces.
    return none;
  }
}

/** Those of this process: a namespace's cannot be changed once a process is in it. */
export const clockShifts = ownShifts();

/**
 * Clock ticks that start times in /proc are ahead of the host's. Not a whole number if no start time can be told from them
 * exactly: the kernel rounds after it has shifted them.
 */
export const startShiftTicks = clockShifts.boottimeNs / NS_PER_TICK;
