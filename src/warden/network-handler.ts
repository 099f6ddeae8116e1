// From what a process does on the network to a verdict that is carried out and reported.

import { type LastingFacts, unknownLastingFacts } from "../forest/lasting-facts.ts";
import type { Process } from "../forest/process.ts";
import { monotonicNow } from "../linux/clock.ts";
import type { Decision } from "../policy/policy.ts";
import { decide, decideAmong } from "../policy/policy.ts";
import { needsArming } from "../policy/schema.ts";
import type { NetworkSubject } from "../policy/subject.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Outbox } from "../report/outbox.ts";
import { records } from "../report/records.ts";
import type { RepeatedVerdicts } from "../report/repeated-verdicts.ts";
import type { Direction, TreeTotals } from "../report/tree-totals.ts";
import { TreeHandle } from "../report/tree-totals.ts";
import {
  type CloseEvent,
  type ListenEvent,
  type NetworkEvent,
  type ProcessFacts,
  unknownFacts,
} from "../sensor/event.ts";
import type { NetworkKind } from "../vocabulary/event-kinds.ts";
import type { ProcessKey } from "../vocabulary/process-key.ts";
import { allowed, type CarriedOut, reportedOnly } from "./carried-out.ts";
import type { KnowableExec } from "./known-trees.ts";
import type { AwaitingEvent, LateVerdicts } from "./late-verdicts.ts";
import type { LoadShedding } from "./load-shedding.ts";
import { factsOf, networkSubject } from "./network-subject.ts";
import { OpenSockets } from "./open-sockets.ts";
import type { NetworkActivity } from "./tracker.ts";
import type { UserBudget } from "./user-budget.ts";
import { imageFor, type VerdictInputs } from "./verdict-handler.ts";

export interface NetworkInputs
  extends Pick<
    VerdictInputs,
    | "policy"
    | "enforcement"
    | "kills"
    | "verdicts"
    | "stamp"
    | "bootTimeMs"
    | "userName"
    | "imageOf"
    | "podOf"
    | "awaited"
    | "knowledgeOf"
    | "observed"
  > {
  readonly trees: TreeTotals;
  readonly load: Pick<LoadShedding, "onVerdict" | "shedsPlainEvents">;
  readonly outbox: Pick<Outbox, "watched" | "reliable" | "bestEffort" | "shedBestEffort">;
  readonly repeatedVerdicts: Pick<RepeatedVerdicts, "onVerdict">;
  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
  readonly wallOffset: () => number;
  /** Events that are judged again. */
  readonly late?: Pick<LateVerdicts<NetworkSubject>, "add">;
  /** The fields of a record that describe the ancestors of its process. */
  readonly ancestorsOf?: (process: ProcessKey) => EventRecord;
  /** Whether each event of this kind is reported, whatever the policy decides. */
  readonly isReported: (kind: NetworkKind) => boolean;
  /** How many plain events of each user are reported. */
  readonly budget: Pick<UserBudget, "take">;
  /** Whether rules deny a process nothing: it is treewarden's own. */
  readonly isSpared: (process: Process) => boolean;
  /** The name of an address; null: none has it. */
  readonly hostNameOf?: (address: string) => string | null;
  /** Takes what was known of a peer that is judged now. */
  readonly judgedPeer?: (peer: JudgedPeer) => void;
  /** Looks up whether a process is known to connect or send to its peer, and learns it; see `destination.known`. */
  readonly knowPeer?: (
    process: KnowableExec,
    event: Exclude<NetworkEvent, ListenEvent>,
  ) => boolean | null | undefined;
}

type PeerSubject = Exclude<NetworkSubject, { readonly kind: "listen" }>;

/** What was known of the peer of an event; see the subject. */
export interface JudgedPeer {
  readonly pid: number;
  /** ns, CLOCK_MONOTONIC */
  readonly time: number;
  readonly name: string | null | undefined;
  readonly known: boolean | null | undefined;
}

const denied: CarriedOut = { outcome: "denied", reason: undefined };
const spared: CarriedOut = { outcome: "withheld", reason: "treewarden" };
const alreadyDone: CarriedOut = { outcome: "failed", reason: "already_done" };

/** `direction` in metrics. */
const directions: Readonly<Record<NetworkKind, Direction>> = {
  connect: "outbound",
  send: "outbound",
  listen: "inbound",
};

export class NetworkHandler {
  private readonly inputs: NetworkInputs;
  private readonly sockets = new OpenSockets();
  /** Of the last event: most often the next one is of the same process. Invalidated by: nothing, all of it is compared. */
  private last: { readonly lasting: LastingFacts; readonly facts: ProcessFacts } = {
    lasting: unknownLastingFacts,
    facts: unknownFacts,
  };

  constructor(inputs: NetworkInputs) {
    this.inputs = inputs;
  }

  onNetwork(activity: NetworkActivity): void {
    const { inputs } = this;
    const { process, tree, event } = activity;
    const facts = this.factsAt(process, event.uid);
    const knowledge = inputs.knowledgeOf({ process, facts, tree, time: event.time });
    const peerKnown =
      event.kind === "listen" ? undefined : inputs.knowPeer?.({ process, facts, tree }, event);
    const subject = networkSubject(activity, facts, inputs.wallOffset(), inputs, knowledge, peerKnown);
    if (subject.kind !== "listen") inputs.judgedPeer?.(judgedPeer(subject));
    const policy = inputs.policy.current;
    const { enforcement } = inputs;
    let decision = decide(policy, subject, enforcement.states);
    if (decision.armed && enforcement.mayAct && enforcement.refresh())
      decision = decide(policy, subject, enforcement.states);
    const { outcome, reason } = this.carryOut(activity, subject, decision);
    this.count(activity, decision, outcome);
    if (needsArming[decision.action] && knowledge.known !== false) inputs.observed?.(decision);
    if (decision.undecided.length > 0) this.awaitAnswers(subject, decision);
    if (decision.action !== "allow")
      inputs.repeatedVerdicts.onVerdict({ subject, decision, outcome, reason, policy });
    this.report(subject, decision);
  }

  /** Judges an event again, whose missing answers have come. What was done cannot be undone, so it is only reported. */
  onLate({ subject, undecided, policy }: AwaitingEvent<NetworkSubject>): void {
    const { inputs } = this;
    // Rules that are no longer in force give no verdicts.
    if (policy !== inputs.policy.current) return;
    const { facts, tree, lineage, time, containerId } = subject;
    const knowledge = inputs.knowledgeOf({ facts, tree, process: { lineage }, time });
    const containerImage = imageFor(containerId, inputs);
    const late = { ...subject, knowledge, change: knowledge.change, containerImage };
    const decision = decideAmong(policy, late, undecided, inputs.enforcement.states);
    if (decision.action === "allow") return;
    const { outcome } = reportedOnly(decision);
    inputs.verdicts.countLate(decision, outcome);
    inputs.repeatedVerdicts.onVerdict({ subject: late, decision, outcome, reason: "late", policy });
  }

  /** Reports the end of what was reported. */
  onClose(event: CloseEvent): void {
    const opened = this.sockets.closed(event);
    if (opened === undefined) return;
    const { network, opener, hasVerdict } = opened;
    this.emit(network.kind, opener.uid, hasVerdict, () =>
      records.close(event, opened, event.time + this.inputs.wallOffset(), this.inputs.stamp),
    );
  }

  private factsAt(process: Process, uid: number | undefined): ProcessFacts {
    const { lasting, facts } = this.last;
    const isSame = lasting === process.facts && facts.startTicks === process.startTicks;
    if (isSame && facts.uid === (uid ?? process.lineage.uid)) return facts;
    this.last = { lasting: process.facts, facts: factsOf(process, uid) };
    return this.last.facts;
  }

  private carryOut(
    { process, event }: NetworkActivity,
    subject: NetworkSubject,
    decision: Decision,
  ): CarriedOut {
    if (decision.action === "allow") return event.denied ? denied : allowed;
    const isArmed = this.inputs.enforcement.mayAct && decision.armed;
    if (decision.action === "alert" || !isArmed) return reportedOnly(decision);
    if (decision.action === "deny") {
      if (event.denied) return denied;
      return this.inputs.isSpared(process) ? spared : alreadyDone;
    }
    const { ruleset, rule } = decision;
    const isKnown = subject.knowledge.known === true;
    const cause = { rule: `${ruleset}/${rule}`, realUid: subject.facts.realUid, isKnown };
    return this.inputs.kills[decision.action === "stop" ? "stop" : "kill"](process, cause, event.time);
  }

  private count(
    { process, event }: NetworkActivity,
    decision: Decision,
    outcome: CarriedOut["outcome"],
  ): void {
    const { verdicts, load, trees } = this.inputs;
    const now = monotonicNow();
    // The kernel may refuse by what was in force a moment ago; an allowed event has no record of a verdict.
    verdicts.count(decision, decision.action === "allow" ? "allowed" : outcome, now - event.time);
    if (!wasFound(event)) load.onVerdict(now - event.time, now);
    if (process.countedAs instanceof TreeHandle)
      trees.used(process.countedAs, directions[event.kind], outcome);
  }

  private awaitAnswers(subject: NetworkSubject, { undecided }: Decision): void {
    const { late, awaited, policy } = this.inputs;
    const keys = late === undefined ? [] : (awaited?.(subject) ?? []);
    if (keys.length > 0)
      late?.add({ subject, seen: undefined, undecided, policy: policy.current }, keys, monotonicNow());
  }

  private report(subject: NetworkSubject, decision: Decision): void {
    const { network, facts, process } = subject;
    const { stamp, ancestorsOf, isReported } = this.inputs;
    const isShown = this.emit(network.kind, facts.uid, false, () =>
      records[subject.kind](subject, stamp, isReported(network.kind) ? ancestorsOf?.(process) : undefined),
    );
    if (isShown || decision.action !== "allow") this.sockets.opened(subject, decision.action !== "allow");
  }

  /**
   * Emits the record that `make` returns, if anybody wants it: reliably where each event of this kind is reported and
   * the user has not made too many of them. False if nobody does.
   */
  private emit(
    kind: NetworkKind,
    uid: number | undefined,
    isWanted: boolean,
    make: () => EventRecord,
  ): boolean {
    const { outbox, load, isReported, budget } = this.inputs;
    const isReliable = isWanted || isReported(kind);
    if (isReliable && budget.take(uid)) outbox.reliable(make(), "common");
    else if (outbox.watched && !load.shedsPlainEvents) outbox.bestEffort(make());
    else if (outbox.watched || isReliable) outbox.shedBestEffort();
    else return false;
    return true;
  }
}

function judgedPeer({ network, peerName, peerKnown }: PeerSubject): JudgedPeer {
  return { pid: network.pid, time: network.time, name: peerName, known: peerKnown };
}

function wasFound(event: NetworkEvent): boolean {
  return event.kind === "listen" && event.found;
}
