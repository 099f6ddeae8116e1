// Signals processes through pidfds, reads start times from /proc, and recognizes treewarden's own processes.
import { statSync } from "node:fs";
import { constants } from "node:os";
import type { ProcessSignals, SendResult } from "../enforcement/kill.ts";
import { monotonicNow, realtimeNow } from "../linux/clock.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { EPERM, SystemCallError } from "../linux/libc.ts";
import { type PidDescriptor, pidfdOpen } from "../linux/pidfd.ts";
import { type FileState, openExecutable } from "../linux/proc/process-file.ts";
import type { CondemnedProcesses } from "../sensor/condemned.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";

const ROOT = 0;

/**
 * `runId` is in the arguments of every process of this run. An own process runs the warden's executable with that id,
 * as root or as the child of such a process, since the reporter has another user. No other user can create a process of
 * root or a child of the supervisor, so only a compromised reporter could use this to evade a verdict.
 * `condemned`: the part of the sensor in use that has the kernel carry a signal on.
 */
export function kernelSignals(
  reader: FactsReader,
  runId: string,
  condemned: () => CondemnedProcesses | undefined = () => undefined,
): ProcessSignals {
  const { dev: device, ino: inode } = statSync("/proc/self/exe");
  const self = { device, inode };
  const hasId = (args: readonly string[]): boolean => args.some((arg) => arg.includes(runId));
  const factsOfOwn = (pid: number): ProcessFacts | undefined => {
    // This runs before each kill. For nearly every process one system call is enough.
    // Treewarden's own never stay within execve(2).
    if (!reader.mayFollowLinks(pid) || !runs(pid, self)) return undefined;
    const facts = reader.read(pid);
    if (facts.inode !== self.inode || facts.device !== self.device) return undefined;
    // On a host without CPU to spare, arguments are not always read in time. Sparing a process is the safer error.
    return facts.args === undefined || hasId(facts.args) ? facts : undefined;
  };
  return {
    now: monotonicNow,
    wallNow: () => realtimeNow() / 1e9,
    startTicks(pid) {
      return reader.startTicks(pid);
    },
    send(process, signal, isStillIt) {
      return signalled(process.pid, isStillIt, (target) => {
        // First, because a fork(2) that has begun already ends after the signal.
        condemned()?.condemn(process, signal);
        if (target.signal(constants.signals[signal])) return true;
        condemned()?.pardon(process);
        return false;
      });
    },
    release(process, isStillIt) {
      return signalled(process.pid, isStillIt, (target) => {
        condemned()?.pardon(process);
        return target.signal(constants.signals.SIGCONT);
      });
    },
    isOwnProcess({ pid }, args) {
      // All own processes have the id in their arguments. Reading /proc is the most expensive part of a kill.
      if (args !== undefined && !hasId(args)) return false;
      // The pid may belong to another process by now. Sparing that process is the safer error.
      const facts = factsOfOwn(pid);
      if (facts === undefined || facts.uid === ROOT) return facts !== undefined;
      return facts.parentPid !== undefined && factsOfOwn(facts.parentPid)?.uid === ROOT;
    },
  };
}

/** Calls `send`, which is false if the process has ended, with a descriptor of the process. */
function signalled(
  pid: number,
  isStillIt: () => boolean,
  send: (target: PidDescriptor) => boolean,
): SendResult {
  let handle: PidDescriptor | null;
  try {
    handle = pidfdOpen(pid);
  } catch {
    return "not_permitted";
  }
  if (handle === null) return "gone";
  using target = handle;
  if (!isStillIt()) return "gone";
  try {
    return send(target) ? "sent" : "gone";
  } catch (error) {
    if (error instanceof SystemCallError && error.errno === EPERM) return "not_permitted";
    throw error;
  }
}

function runs(pid: number, { device, inode }: Pick<FileState, "device" | "inode">): boolean {
  const executable = openExecutable(pid);
  if (executable === undefined) return false;
  closeDescriptor(executable.fd);
  return executable.state.inode === inode && executable.state.device === device;
}
