// Who runs this command, for the record of its orders: login user, session, and the tree of its processes.
import { readFileSync } from "node:fs";
import type { Requester } from "../enforcement/overrides.ts";
import { createIdentifier, kernelThread } from "../fingerprint/identify.ts";
import { treeOf } from "../fingerprint/tree.ts";
import { Forest } from "../forest/forest.ts";
import { monotonicNow, suspendedFor } from "../linux/clock.ts";
import type { ScannedGroup } from "../sensor/event.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { readGroup } from "../sensor/procfs/scan.ts";
import { readBase } from "../warden/base-file.ts";

/** Longer lineages than this are shortened in a tree anyway. */
const ANCESTORS = 64;
/** proc_pid_loginuid(5), proc_pid_sessionid(5): not set. */
const UNSET = 0xffff_ffff;

/** This process and what it was started by, as far as /proc shows. `stateDirectory`: where the host's base list is. */
export function requester(stateDirectory: string): Requester {
  return {
    pid: process.pid,
    login_user: audited("loginuid"),
    session: audited("sessionid"),
    tree: ownTree(stateDirectory),
  };
}

function audited(name: "loginuid" | "sessionid"): number | null {
  try {
    const value = Number(readFileSync(`/proc/self/${name}`, "latin1"));
    return Number.isSafeInteger(value) && value >= 0 && value !== UNSET ? value : null;
  } catch {
    // A kernel without CONFIG_AUDIT.
    return null;
  }
}

/** The exact tree of this process; null if an ancestor has ended while /proc was read. */
function ownTree(stateDirectory: string): string | null {
  try {
    using reader = new FactsReader();
    const base = readBase(stateDirectory);
    const forest = new Forest({
      identify: createIdentifier(base === undefined ? {} : { base }),
      kernelProgram: kernelThread,
      missedExit: () => undefined,
    });
    forest.suspendedNs = suspendedFor();
    const lineage: ScannedGroup[] = [];
    for (let pid = process.pid; pid > 0 && lineage.length < ANCESTORS; ) {
      const group = readGroup(reader, pid);
      if (group === undefined) return null;
      lineage.push(group);
      pid = group.facts.parentPid ?? 0;
    }
    const { found } = forest.reconcile(lineage, monotonicNow());
    const own = found.find(({ process: { pid } }) => pid === process.pid);
    return own === undefined ? null : treeOf(own.process.lineage).exact;
  } catch {
    return null;
  }
}
