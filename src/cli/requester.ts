// Who runs this command, for the record of its orders: login user, session, and the tree of its processes.

import type { Requester } from "../enforcement/overrides.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import { programNames } from "../fingerprint/title.ts";
import { treeOf } from "../fingerprint/tree.ts";
import { Forest } from "../forest/forest.ts";
import { monotonicNow, suspendedFor } from "../linux/clock.ts";
import type { ScannedGroup } from "../sensor/event.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { readGroup } from "../sensor/procfs/scan.ts";
import { readBase } from "../warden/base-file.ts";

/** Longer lineages than this are shortened in a tree anyway. */
const ANCESTORS = 64;

/** This process and what it was started by, as far as /proc shows. `stateDirectory`: where the host's base list is. */
export function requester(stateDirectory: string): Requester {
  using reader = new FactsReader();
  const { loginUid, sessionId } = reader.read(process.pid);
  return {
    pid: process.pid,
    // Absent on a kernel without CONFIG_AUDIT.
    login_user: loginUid ?? null,
    session: sessionId ?? null,
    tree: ownTree(stateDirectory, reader),
  };
}

/** The exact tree of this process; null if an ancestor has ended while /proc was read. */
function ownTree(stateDirectory: string, reader: FactsReader): string | null {
  try {
    const base = readBase(stateDirectory);
    const forest = new Forest({
      ...programNames(createIdentifier(base === undefined ? {} : { base })),
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
    const self = found.find(({ process: { pid } }) => pid === process.pid);
    return self === undefined ? null : treeOf(self.process.lineage).exact;
  } catch {
    return null;
  }
}
