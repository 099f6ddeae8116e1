// What a process has done so far: the CPU time that it has had, and whether its threads wait for a CPU.
import { readdirSync, readFileSync } from "node:fs";
import { NS_PER_TICK } from "../ticks.ts";
import { readDecimals } from "./decimal.ts";

/** One thread, from /proc/PID/task/TID/stat and schedstat (proc_pid_stat(5); sched-stats of the kernel's documents). */
export interface ThreadUse {
  readonly tid: number;
  /** One letter: R running or waiting for a CPU, S and D sleeping, T stopped by a signal, t stopped by a tracer. */
  readonly state: string;
  /** Time on a CPU, ns; 0 on a kernel without schedstat. */
  readonly ranNs: number;
  /** Time spent waiting for a CPU, ns, counted when the thread gets one; 0 on a kernel without schedstat. */
  readonly waitedNs: number;
}

export interface CpuUse {
  /** CPU time of all threads, also of those that have ended, ns. */
  readonly cpuNs: number;
  /** The first is the main thread. */
  readonly threads: readonly ThreadUse[];
}

// Fields by their number in proc_pid_stat(5); the numbers that follow name and state begin with field 4.
const FIRST = 4;
const UTIME = 14 - FIRST;
const STIME = 15 - FIRST;
const fields = new Float64Array(STIME + 1);

/** Parses a stat file: the state and the CPU time in clock ticks. Undefined if it is malformed. */
export function parseCpuTicks(
  bytes: Uint8Array,
): { readonly state: string; readonly ticks: number } | undefined {
  const close = bytes.lastIndexOf(0x29);
  const state = bytes[close + 2];
  if (close < 0 || state === undefined) return undefined;
  if (readDecimals(bytes, close + 3, bytes.length, fields) <= STIME) return undefined;
  return { state: String.fromCharCode(state), ticks: (fields[UTIME] ?? 0) + (fields[STIME] ?? 0) };
}

/** True if the process is stopped by a signal (SIGSTOP) or a tracer. */
export function isStopped(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  const state = stat === undefined ? undefined : parseCpuTicks(stat)?.state;
  return state === "T" || state === "t";
}

/** What the process `pid` has done; undefined if it has ended. */
export function readCpuUse(pid: number): CpuUse | undefined {
  const whole = read(`/proc/${pid}/stat`);
  const total = whole === undefined ? undefined : parseCpuTicks(whole);
  if (total === undefined) return undefined;
  const threads = tasksOf(pid).flatMap((tid) => {
    const stat = read(`/proc/${pid}/task/${tid}/stat`);
    const state = stat === undefined ? undefined : parseCpuTicks(stat)?.state;
    if (state === undefined) return [];
    const [ran = 0, waited = 0] =
      read(`/proc/${pid}/task/${tid}/schedstat`)?.toString("latin1").split(" ").map(Number) ?? [];
    return [{ tid, state, ranNs: ran, waitedNs: waited }];
  });
  return { cpuNs: total.ticks * NS_PER_TICK, threads };
}

/** The main thread has the lowest number only by habit, so it is put first. */
function tasksOf(pid: number): readonly number[] {
  try {
    const tids = readdirSync(`/proc/${pid}/task`).map(Number);
    return [pid, ...tids.filter((tid) => tid !== pid)];
  } catch {
    return [];
  }
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    // The thread has ended, or the kernel has no such file.
    return undefined;
  }
}
