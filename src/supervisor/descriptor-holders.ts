// Finds the children of a supervisor that has died. A child is recognised by a descriptor that only its supervisor
// could pass: the child's end of its control pair, as `inherited.control`. Names, arguments and users could be
// imitated.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isSameFile } from "../linux/kcmp.ts";
import { parseStatus } from "../linux/proc/status.ts";
import { inherited } from "./inherited.ts";

/** Pids of the other processes whose control socket is this process's descriptor `end`. `users`: see `holds`. */
export function holdersOf(end: number, users: ReadonlySet<number>): readonly number[] {
  const pids = readdirSync("/proc").map(Number);
  return pids.filter((pid) => Number.isInteger(pid) && pid !== process.pid && holds(pid, end, users));
}

/**
 * True if the control socket of `pid` is this process's descriptor `end`. False for a process that has ended. `users`: the real
 * users that children have. Those of others are not asked: a user can keep whoever compares the descriptors of his process
 * waiting for ever, see `mayBeInExec`.
 */
export function holds(pid: number, end: number, users: ReadonlySet<number>): boolean {
  const user = realUser(pid);
  if (user === undefined || !users.has(user)) return false;
  return isSameFile(pid, inherited.control, end) ?? showsSameSocket(pid, end);
}

function realUser(pid: number): number | undefined {
  try {
    const bytes = readFileSync(`/proc/${pid}/status`);
    const status = parseStatus(bytes, bytes.length);
    return "failure" in status ? undefined : status.realUid;
  } catch {
    // It has ended.
    return undefined;
  }
}

/** As `isSameFile`, for kernels without kcmp(2); sees other users' processes only with CAP_DAC_READ_SEARCH. */
function showsSameSocket(pid: number, end: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${inherited.control}`) === readlinkSync(`/proc/self/fd/${end}`);
  } catch {
    return false;
  }
}
