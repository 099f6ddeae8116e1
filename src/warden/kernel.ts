// The kernel's side of killing: pidfds, start times out of /proc, and which processes are treewarden's own.
import { readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import type { Signals } from "../enforcement/kill.ts";
import { EPERM, SystemCallError } from "../linux/libc.ts";
import { type PidDescriptor, pidfdOpen } from "../linux/pidfd.ts";
import type { FactsReader } from "../sensor/facts.ts";

/**
 * `runId` stands in the arguments of every process of this run. Ours is what runs the warden's own executable as
 * root with that id: nobody else can make a process of root's, so nobody can hide from a verdict behind this.
 */
export function kernelSignals(reader: FactsReader, runId: string): Signals {
  const self = statSync("/proc/self/exe");
  return {
    startTicks(pid) {
      return reader.read(pid).startTicks;
    },
    kill(pid, verify) {
      let handle: PidDescriptor | null;
      try {
        handle = pidfdOpen(pid);
      } catch {
        return "not_permitted";
      }
      if (handle === null) return "gone";
      using open = handle;
      if (!verify()) return "gone";
      try {
        return open.signal(constants.signals.SIGKILL) ? "sent" : "gone";
      } catch (error) {
        if (error instanceof SystemCallError && error.errno === EPERM) return "not_permitted";
        throw error;
      }
    },
    isOurs(pid) {
      const facts = reader.read(pid);
      if (facts.uid !== 0 || facts.inode !== self.ino || facts.device !== self.dev) return false;
      return commandLine(pid).includes(runId);
    },
  };
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}
