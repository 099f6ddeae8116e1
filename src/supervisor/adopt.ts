// Finding the children of a supervisor that is gone. A child is known by what only its supervisor could give it: the
// child's end of its control pair, as descriptor `inherited.control`. Names, arguments and users can be imitated.
import { readdirSync, readlinkSync } from "node:fs";
import { inherited } from "./inherited.ts";

/** Pids of the processes that hold the socket behind our descriptor `end` as their control socket. */
export function holdersOf(end: number): readonly number[] {
  const socket = readlinkSync(`/proc/self/fd/${end}`);
  const holders: number[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (holds(pid, socket)) holders.push(pid);
  }
  return holders;
}

/** True if process `pid` has `socket` (as /proc/PID/fd shows it) as its control socket. False for one that ended. */
export function holds(pid: number, socket: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${inherited.control}`) === socket;
  } catch {
    return false;
  }
}
