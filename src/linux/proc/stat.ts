// /proc/PID/stat (proc_pid_stat(5)).
import { decodeText } from "../text.ts";
import { startShiftTicks } from "../time-namespace.ts";
import { readDecimals } from "./decimal.ts";
import { malformed, type ParseFailure } from "./failure.ts";

export interface ProcStat {
  /** The thread's name: at most 15 bytes for a user process, more for a kernel worker. */
  readonly comm: string;
  /** One letter; Z: a zombie, X: dead. */
  readonly state: string;
  readonly parentPid: number;
  /** Controlling terminal's device number as the kernel encodes it; 0: none. */
  readonly ttyNumber: number;
  /** PF_ flags of include/linux/sched.h. */
  readonly flags: number;
  /** Threads of the group, the leader included. */
  readonly threads: number;
  /** Clock ticks since boot, by the host's clock. */
  readonly startTicks: number;
}

/** include/linux/sched.h: a kernel thread. */
export const PF_KTHREAD = 0x0020_0000;

// Fields by their number in proc_pid_stat(5); the numbers that follow name and state begin with field 4.
const FIRST = 4;
const PPID = 4 - FIRST;
const TTY_NR = 7 - FIRST;
const FLAGS = 9 - FIRST;
const NUM_THREADS = 20 - FIRST;
const STARTTIME = 22 - FIRST;

const fields = new Float64Array(STARTTIME + 1);

/** Parses `bytes[0, length)`. `shiftTicks`: how far its start time is ahead of the host's clock. */
export function parseStat(
  bytes: Uint8Array,
  length: number,
  shiftTicks = startShiftTicks,
): ProcStat | ParseFailure {
  const text = bytes.subarray(0, length);
  const open = text.indexOf(0x28);
  // The name may contain anything, also parentheses and newlines; only digits, blanks and one letter follow it.
  const close = text.lastIndexOf(0x29);
  if (open < 0 || close < open) return malformed("stat", "no name in parentheses");
  const state = text[close + 2];
  if (state === undefined) return malformed("stat", "no state behind the name");
  const count = readDecimals(text, close + 3, length, fields);
  if (count <= STARTTIME) return malformed("stat", `only ${count} numbers behind the state`);
  return {
    comm: decodeText(text, open + 1, close),
    state: String.fromCharCode(state),
    parentPid: fields[PPID] ?? 0,
    ttyNumber: fields[TTY_NR] ?? 0,
    flags: fields[FLAGS] ?? 0,
    threads: fields[NUM_THREADS] ?? 0,
    startTicks: (fields[STARTTIME] ?? 0) - shiftTicks,
  };
}
