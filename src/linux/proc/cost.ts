// What one process costs: CPU time and memory, from the two files of /proc that every user may read and that wait for no
// lock of the process.
import { readFileSync } from "node:fs";
import { TICKS_PER_SECOND } from "../ticks.ts";
import { parseCpuTicks } from "./cpu-use.ts";
import { parseStat } from "./stat.ts";

export interface ProcessCost {
  /** With the pid it identifies the process. */
  readonly startTicks: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** The part of it that is no file's: RssAnon of proc_pid_status(5), since Linux 4.5. */
  readonly privateBytes: number;
}

/** Undefined if the process has ended. */
export function readProcessCost(pid: number): ProcessCost | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`);
    const parsed = parseStat(stat, stat.length);
    const cpu = parseCpuTicks(stat);
    if (!("startTicks" in parsed) || cpu === undefined) return undefined;
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return {
      startTicks: parsed.startTicks,
      cpuSeconds: cpu.ticks / TICKS_PER_SECOND,
      residentBytes: bytesOf(status, "VmRSS"),
      privateBytes: bytesOf(status, "RssAnon"),
    };
  } catch {
    return undefined;
  }
}

/** A line such as `VmRSS:	   61888 kB`; 0 for a zombie, which has no memory any more. */
function bytesOf(status: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status);
  return Number(match?.[1] ?? 0) * 1024;
}
