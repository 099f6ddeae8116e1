// Finds the children of a supervisor that has died. A child is recognised by a descriptor that only its supervisor
// could pass: the child's end of its control pair, as `inherited.control`. Names, arguments and users could be
// imitated.
import { readdirSync, readlinkSync } from "node:fs";
import { isSameFile } from "../linux/kcmp.ts";
import { inherited } from "./inherited.ts";

/** Pids of the other processes whose control socket is this process's descriptor `end`. */
export function holdersOf(end: number): readonly number[] {
  const pids = readdirSync("/proc").map(Number);
  return pids.filter((pid) => Number.isInteger(pid) && pid !== process.pid && holds(pid, end));
}

/** True if the control socket of `pid` is this process's descriptor `end`. False for a process that has ended. */
export function holds(pid: number, end: number): boolean {
  return isSameFile(pid, inherited.control, end) ?? showsSameSocket(pid, end);
}

/** As `holds`, for kernels without kcmp(2); sees other users' processes only with CAP_DAC_READ_SEARCH. */
function showsSameSocket(pid: number, end: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${inherited.control}`) === readlinkSync(`/proc/self/fd/${end}`);
  } catch {
    return false;
  }
}
