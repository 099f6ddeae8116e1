// The subject of a verdict on what a process does on the network.
import type { Knowledge } from "../baseline/baseline.ts";
import { factsAfterExec } from "../forest/lasting-facts.ts";
import { unitOf } from "../linux/cgroup-names.ts";
import { type NetworkSubject, subjectOfNetwork } from "../policy/subject.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { HostNames } from "../sensor/network/host-names.ts";
import type { NetworkActivity } from "./tracker.ts";
import { imageFor, type VerdictInputs } from "./verdict-handler.ts";

export interface NetworkSubjectInputs
  extends Pick<VerdictInputs, "bootTimeMs" | "userName" | "imageOf" | "podOf"> {
  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
  readonly wallOffset: number;
  readonly hostNames: HostNames;
}

/** What is known of the process now: its effective user as the event has it, the rest as of its last exec. */
export function factsOf({ process, event }: NetworkActivity): ProcessFacts {
  const uid = event.uid ?? process.lineage.uid;
  return factsAfterExec(process.facts, { startTicks: process.startTicks, uid });
}

export function networkSubject(
  activity: NetworkActivity,
  facts: ProcessFacts,
  inputs: NetworkSubjectInputs,
  knowledge: Knowledge = {},
): NetworkSubject {
  const { process, tree, event } = activity;
  const { lineage, ancestry } = process;
  const containerId = facts.cgroup === undefined ? undefined : lineage.container;
  const known = {
    source: event.source,
    time: event.time,
    wallTime: (event.time + inputs.wallOffset) / 1e6,
    process,
    facts,
    runnable: lineage.program,
    lineage,
    tree,
    parentPid: process.parentPid === 0 ? undefined : process.parentPid,
    parent: ancestry === null ? undefined : { runnable: ancestry.program, uid: ancestry.uid },
    knowledge,
    containerId,
    unit: facts.cgroup === undefined ? undefined : unitOf(facts.cgroup),
    containerImage: imageFor(containerId, inputs),
    pod: typeof containerId === "string" ? inputs.podOf?.(containerId) : containerId,
    change: knowledge.change,
    bootTimeMs: inputs.bootTimeMs,
    userName: inputs.userName,
  };
  const peer = event.kind === "listen" ? undefined : event.peerAddress;
  return subjectOfNetwork(known, event, peer === undefined ? null : (inputs.hostNames.get(peer) ?? null));
}
