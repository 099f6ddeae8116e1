// The subject of a verdict on what a process does on the network.
import type { Knowledge } from "../baseline/baseline.ts";
import type { Tree } from "../fingerprint/tree.ts";
import { factsAfterExec } from "../forest/lasting-facts.ts";
import type { Process } from "../forest/process.ts";
import { unitOf } from "../linux/cgroup-names.ts";
import { type ExecSubject, type NetworkSubject, subjectOfNetwork } from "../policy/subject.ts";
import type { ProcessFacts, SensorSource } from "../sensor/event.ts";
import type { NetworkActivity } from "./tracker.ts";
import { imageFor, type VerdictInputs } from "./verdict-handler.ts";

export interface NetworkSubjectInputs
  extends Pick<VerdictInputs, "bootTimeMs" | "userName" | "imageOf" | "podOf"> {
  /** The name of an address; null: none has it. Absent where names are not known. */
  readonly hostNameOf?: (address: string) => string | null | undefined;
}

/** A process that uses the network, or may do so. */
export interface RunningProcess {
  readonly process: Process;
  readonly tree: Tree;
  readonly source: SensorSource;
  /** ns, CLOCK_MONOTONIC */
  readonly time: number;
  readonly facts: ProcessFacts;
}

/** What is known of a process after its exec. `uid`: its effective user now; undefined: as at the exec. */
export function factsOf({ facts, startTicks, lineage }: Process, uid: number | undefined): ProcessFacts {
  return factsAfterExec(facts, { startTicks, uid: uid ?? lineage.uid });
}

/** `wallOffset`: CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
export function processSubject(
  { process, tree, source, time, facts }: RunningProcess,
  wallOffset: number,
  inputs: NetworkSubjectInputs,
  knowledge: Knowledge,
): Omit<ExecSubject, "kind"> {
  const { lineage, ancestry } = process;
  const containerId = facts.cgroup === undefined ? undefined : lineage.container;
  return {
    source,
    time,
    wallTime: (time + wallOffset) / 1e6,
    process,
    facts,
    runnable: lineage.program,
    lineage,
    tree,
    parentPid: process.parentPid === 0 ? undefined : process.parentPid,
    parent: ancestry ?? undefined,
    knowledge,
    containerId,
    unit: facts.cgroup === undefined ? undefined : unitOf(facts.cgroup),
    containerImage: imageFor(containerId, inputs),
    pod: typeof containerId === "string" ? inputs.podOf?.(containerId) : containerId,
    change: knowledge.change,
    bootTimeMs: inputs.bootTimeMs,
    userName: inputs.userName,
  };
}

export function networkSubject(
  { process, tree, event }: NetworkActivity,
  facts: ProcessFacts,
  wallOffset: number,
  inputs: NetworkSubjectInputs,
  knowledge: Knowledge = {},
  peerKnown?: boolean | null,
): NetworkSubject {
  const { source, time } = event;
  const known = processSubject({ process, tree, source, time, facts }, wallOffset, inputs, knowledge);
  if (event.kind === "listen") return subjectOfNetwork(known, event);
  return subjectOfNetwork(known, event, { peerName: inputs.hostNameOf?.(event.peerAddress), peerKnown });
}
