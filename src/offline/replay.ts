// A capture through the hot path's own rooms: the verdicts that a policy would have given. No clock, no kernel and
// nothing random, so that every run on every host gives the same bytes. Nothing is folded, silenced, limited or carried
// out.
import type { Outcome } from "../enforcement/outcome.ts";
import { type Decision, decide, decideAmong, type Policy } from "../policy/policy.ts";
import type { Action } from "../policy/schema.ts";
import type { Subject } from "../policy/subject.ts";
import type { EventRecord } from "../report/event-record.ts";
import { type Stamp, verdictRecord } from "../report/records.ts";
import { recordUids } from "../report/stamp.ts";
import type { Capture, CaptureEnd } from "../sensor/capture/capture-reader.ts";
import { Malformed } from "../sensor/capture/line-values.ts";
import type { LossEvent } from "../sensor/event.ts";
import { changedByBaseline } from "../warden/changed-runnables.ts";
import { type AwaitingEvent, LateVerdicts } from "../warden/late-verdicts.ts";
import { factsOf, networkSubject } from "../warden/network-subject.ts";
import type { Execution, NetworkActivity, TrackerListener } from "../warden/tracker.ts";
import { execSubject, lateSubject, type VerdictInputs } from "../warden/verdict-handler.ts";
import { CapturedHost, changedKey, type OtherPolicy } from "./captured-host.ts";

/** What was counted on the way. */
export interface ReplayTally {
  /** Programs and events of the network that were judged, those that scans found included. */
  judged: number;
  readonly verdicts: Record<Action, number>;
  /** Events that the recording sensor is known to have lost. */
  lost: number;
  /** Losses of an unknown number of events. */
  lossesUncounted: number;
  /** By rule: how often a variable that it names was absent. */
  readonly undecided: Map<string, number>;
}

export interface ReplayResult {
  readonly end: CaptureEnd;
  readonly events: number;
  readonly tally: Readonly<ReplayTally>;
}

/** What a verdict comes to where nothing is carried out. */
const outcomes: Readonly<Record<Action, Outcome>> = {
  allow: "allowed",
  alert: "alerted",
  deny: "would_deny",
  stop: "would_stop",
  kill: "would_kill",
};

/**
 * Reads all of `capture`; every verdict but a plain allow goes to `emit`, in order. `other`: judges instead of the
 * policy in the capture. A capture that `record` made without a warden has no policy.
 */
export function replay(
  capture: Capture,
  emit: (record: EventRecord) => void,
  other?: OtherPolicy,
): ReplayResult {
  const judge = new ReplayJudge(capture, emit, other);
  const end = capture.read((item) => judge.host.take(item));
  return { end, events: capture.events, tally: judge.tally };
}

class ReplayJudge implements TrackerListener {
  readonly host: CapturedHost;
  readonly tally: ReplayTally = {
    judged: 0,
    verdicts: { allow: 0, alert: 0, deny: 0, stop: 0, kill: 0 },
    lost: 0,
    lossesUncounted: 0,
    undecided: new Map(),
  };
  private readonly emit: (record: EventRecord) => void;
  private readonly stamp: Stamp;
  private readonly late: LateVerdicts;
  private readonly inputs: Pick<VerdictInputs, "bootTimeMs" | "userName" | "examined" | "imageOf" | "podOf">;

  constructor(capture: Capture, emit: (record: EventRecord) => void, other: OtherPolicy | undefined) {
    const { header, digest } = capture;
    const host = new CapturedHost(capture, this, other, (key) => this.late.answered(key));
    this.host = host;
    this.late = new LateVerdicts({ judge: (exec) => this.onLate(exec), missed: () => undefined });
    this.emit = emit;
    this.stamp = recordUids(Buffer.from(digest, "hex").subarray(0, 5));
    this.inputs = {
      bootTimeMs: header.bootTimeMs,
      userName: (uid) => host.userName(uid),
      examined: (facts) => host.examined(facts),
      imageOf: (container) => host.imageOf(container),
      podOf: (container) => host.podOf(container),
    };
  }

  onFork(): void {}

  onExit(): void {}

  onClose(): void {}

  onExec(exec: Execution): void {
    const { host } = this;
    const { policy } = host;
    if (policy === undefined) throw new Malformed("a program comes before the policy that judges it");
    this.late.expire(exec.time);
    const knowledge = host.lookUp(exec);
    const subject = execSubject(exec, host.wallOffset, this.inputs, knowledge);
    const key = { pid: exec.process.pid, time: exec.time };
    const content = host.takeChanged(key);
    subject.changed =
      content === undefined ? changedByBaseline(subject.runnable, knowledge) : content.changed;
    const decision = decide(policy, subject);
    const { undecided } = decision;
    const answers = content?.isAwaited === true ? [changedKey(key)] : [];
    const awaited = undecided.length === 0 ? [] : [...host.awaited(subject), ...answers];
    if (awaited.length > 0)
      this.late.add({ subject, seen: undefined, undecided, policy }, awaited, exec.time);
    this.emitVerdict(subject, decision, policy);
  }

  onNetwork(activity: NetworkActivity): void {
    const { host } = this;
    const { policy } = host;
    if (policy === undefined) throw new Malformed("a connection comes before the policy that judges it");
    const { process, tree, event } = activity;
    const facts = factsOf(process, event.uid);
    const knowledge = host.lookUp({ facts, tree, process, time: event.time });
    const peer = host.takePeer(event);
    const inputs = { ...this.inputs, hostNameOf: () => peer?.name };
    const subject = networkSubject(activity, facts, host.wallOffset, inputs, knowledge, peer?.known);
    this.emitVerdict(subject, decide(policy, subject), policy);
  }

  /** Counts a verdict, and emits it unless it allows. */
  private emitVerdict(subject: Subject, decision: Decision, policy: Policy): void {
    const { tally } = this;
    tally.judged += 1;
    tally.verdicts[decision.action] += 1;
    for (const rule of decision.undecided) tally.undecided.set(rule, (tally.undecided.get(rule) ?? 0) + 1);
    if (decision.action === "allow") return;
    const outcome = outcomes[decision.action];
    this.emit(verdictRecord(subject, decision, outcome, undefined, policy.version, this.stamp));
  }

  /** Judges an exec again as the warden does when an answer has come, by the rules that lacked it. */
  private onLate({ subject, undecided, policy }: AwaitingEvent): void {
    const { host, tally } = this;
    if (policy !== host.policy) return;
    const { facts, tree, lineage, time } = subject;
    const exec = { facts, tree, process: { lineage }, time };
    const late = lateSubject(subject, host.lookUp(exec), this.inputs);
    const content = host.takeChanged({ pid: subject.process.pid, time });
    late.changed = content === undefined ? changedByBaseline(late.runnable, late.knowledge) : content.changed;
    const decision = decideAmong(policy, late, undecided);
    if (decision.action === "allow") return;
    tally.verdicts[decision.action] += 1;
    this.emit(verdictRecord(late, decision, outcomes[decision.action], "late", policy.version, this.stamp));
  }

  onLoss(event: LossEvent): void {
    if (event.count === undefined) this.tally.lossesUncounted += 1;
    else this.tally.lost += event.count;
  }
}
