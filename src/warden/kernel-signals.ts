// The kernel's side of killing: pidfds, start times out of /proc, and which processes are treewarden's own.
import { readFileSync, type Stats, statSync } from "node:fs";
import { constants } from "node:os";
import type { ProcessSignals } from "../enforcement/kill.ts";
import { monotonicNow } from "../linux/clock.ts";
import { EPERM, SystemCallError } from "../linux/libc.ts";
import { type PidDescriptor, pidfdOpen } from "../linux/pidfd.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";

const ROOT = 0;

/**
 * `runId` stands in the arguments of every process of this run. Ours is what runs the warden's own executable with that
 * id, as root or as a child of one that does: the reporter is another user's. Nobody else can make a process of root's
 * or a child of the supervisor, so nobody can hide from a verdict behind this, but a reporter that was taken over.
 */
export function kernelSignals(reader: FactsReader, runId: string): ProcessSignals {
  const self = statSync("/proc/self/exe");
  const factsOfOwn = (pid: number): ProcessFacts | undefined => {
    // Asked before each kill: for nearly every process one call is enough.
    if (!runs(pid, self)) return undefined;
    const facts = reader.read(pid);
    const isOwn = facts.inode === self.ino && facts.device === self.dev && commandLine(pid).includes(runId);
    return isOwn ? facts : undefined;
  };
  return {
    now: monotonicNow,
    startTicks(pid) {
      return reader.startTicks(pid);
    },
    kill({ pid }, isStillIt) {
      let handle: PidDescriptor | null;
      try {
        handle = pidfdOpen(pid);
      } catch {
        return "not_permitted";
      }
      if (handle === null) return "gone";
      using open = handle;
      if (!isStillIt()) return "gone";
      try {
        return open.signal(constants.signals.SIGKILL) ? "sent" : "gone";
      } catch (error) {
        if (error instanceof SystemCallError && error.errno === EPERM) return "not_permitted";
        throw error;
      }
    },
    isOurs({ pid }, args) {
      // All of ours are started with it; a look at a process that has just begun is the most expensive part of a kill.
      if (args !== undefined && !args.some((one) => one.includes(runId))) return false;
      // Whoever has the pid now: should that be another process than the one meant, to spare it is the safe mistake.
      const facts = factsOfOwn(pid);
      if (facts === undefined || facts.uid === ROOT) return facts !== undefined;
      return facts.parentPid !== undefined && factsOfOwn(facts.parentPid)?.uid === ROOT;
    },
  };
}

function runs(pid: number, file: Stats): boolean {
  try {
    const now = statSync(`/proc/${pid}/exe`, { throwIfNoEntry: false });
    return now?.ino === file.ino && now.dev === file.dev;
  } catch {
    return false;
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}
