// Finding the children of a supervisor that is gone. A child is known by what only its supervisor could give it: the
// child's end of its control pair, as descriptor `inherited.control`. Names, arguments and users can be imitated.
import { readdirSync, readlinkSync } from "node:fs";
import { isSameFile } from "../linux/kcmp.ts";
import { inherited } from "./inherited.ts";

/** Pids of the processes, but for this one, whose control socket is our descriptor `end`. */
export function holdersOf(end: number): readonly number[] {
  const pids = readdirSync("/proc").map(Number);
  return pids.filter((pid) => Number.isInteger(pid) && pid !== process.pid && holds(pid, end));
}

/** True if the control socket of process `pid` is our descriptor `end`. False for a process that has ended. */
export function holds(pid: number, end: number): boolean {
  return isSameFile(pid, inherited.control, end) ?? showsSameSocket(pid, end);
}

/** The same question where the kernel has no kcmp(2); sees other users' processes only with CAP_DAC_READ_SEARCH. */
function showsSameSocket(pid: number, end: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${inherited.control}`) === readlinkSync(`/proc/self/fd/${end}`);
  } catch {
    return false;
  }
}
