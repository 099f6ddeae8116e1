// From a program that runs to a verdict that is carried out and reported.

import type { Knowledge } from "../baseline/baseline.ts";
import type { ObservedExec, ProcessKiller } from "../enforcement/kill.ts";
import type { Outcome } from "../enforcement/outcome.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import type { Tree } from "../fingerprint/tree.ts";
import type { Process } from "../forest/process.ts";
import { unitOf } from "../linux/cgroup-names.ts";
import { monotonicNow } from "../linux/clock.ts";
import {
  type Decision,
  decide,
  decideAmong,
  decideAnew,
  namesContent,
  type Policy,
} from "../policy/policy.ts";
import type { RuleStates } from "../policy/rule-state.ts";
import { actsOnTree } from "../policy/schema.ts";
import { type ExecSubject, type Subject, withoutPath } from "../policy/subject.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Outbox } from "../report/outbox.ts";
import { records, type Stamp } from "../report/records.ts";
import type { RepeatedVerdicts } from "../report/repeated-verdicts.ts";
import type { Totals } from "../report/totals.ts";
import type { ChangedItem } from "../sensor/capture/items.ts";
import type { ExecEvent, ExitEvent, LossEvent, ProcessFacts } from "../sensor/event.ts";
import type { PodOfContainer } from "../vocabulary/pod.ts";
import { allowed, type CarriedOut, mismatched, prevented, reportedOnly } from "./carried-out.ts";
import type { ChangedRunnables } from "./changed-runnables.ts";
import type { KnowableExec } from "./known-trees.ts";
import type { AwaitingEvent, LateVerdicts } from "./late-verdicts.ts";
import type { LimitedKills } from "./limited-kills.ts";
import type { LoadShedding } from "./load-shedding.ts";
import type { NewTrees } from "./new-trees.ts";
import type { SeenState } from "./runnable-contents.ts";
import type { Execution, TrackerListener } from "./tracker.ts";
import type { VerdictTotals } from "./verdict-totals.ts";

export interface VerdictInputs {
  /** The policy to judge by; another one may take its place between two events. */
  readonly policy: { readonly current: Policy };
  /** What verdicts may do; another one may take its place between two events. */
  readonly enforcement: {
    /** Whether any verdict may act now. */
    readonly mayAct: boolean;
    readonly states: RuleStates;
    /** Looks whether root has ordered otherwise; true if something has changed. */
    refresh(): boolean;
  };
  readonly killer: Pick<ProcessKiller, "forked">;
  readonly kills: LimitedKills;
  readonly verdicts: VerdictTotals;
  readonly outbox: Outbox;
  /** Takes every verdict other than a plain allow. */
  readonly repeatedVerdicts: RepeatedVerdicts;
  readonly totals: Totals;
  readonly stamp: Stamp;
  /** Milliseconds since the epoch at which start ticks are 0. */
  readonly bootTimeMs: number;
  readonly userName: (uid: number) => string | undefined;
  readonly newTrees: NewTrees;
  readonly load: LoadShedding;
  /** What the examiner knows of a file of the host's that runs; `wallTime` in milliseconds. */
  readonly examined?: (facts: ProcessFacts, wallTime: number) => ExaminedFile | undefined;
  /** The image that a container was made of; undefined or null if that is not known. */
  readonly imageOf?: (container: string) => string | null | undefined;
  /** The pod of a container that `imageOf` was asked about; null: it belongs to none; undefined: that is not known. */
  readonly podOf?: (container: string) => PodOfContainer | null | undefined;
  /** The fields of a record that describe the ancestors of its process. */
  readonly ancestorsOf?: (process: Process) => EventRecord;
  /** What the baseline in force knows of an exec. */
  readonly knowledgeOf: (exec: KnowableExec & Pick<Execution, "time">) => Knowledge;
  /** Tells whether what runs holds what was learned. */
  readonly changes?: ChangedRunnables;
  /** A verdict depended on whether a content is another one: what was known of that, for captures. */
  readonly judgedContent?: (answer: Omit<ChangedItem, "kind">) => void;
  /** Execs that are judged again. */
  readonly late?: Pick<LateVerdicts, "add">;
  /** Names of the examiner's answers that an exec lacks; they are on their way. */
  readonly awaited?: (subject: Subject) => readonly string[];
  /** A learning run is under way, for which known trees are looked at too. */
  readonly isLearning?: () => boolean;
  /** The change in whose open window a process is; undefined for none. */
  readonly windowOf?: (subject: ExecSubject) => string | undefined;
  /** Learns from an exec, of which the baseline knows this. */
  readonly learnFrom: (exec: Execution, knowledge: Knowledge) => void;
  /** Events were lost: the warden plans a rescan. */
  readonly onLoss: () => void;
  /** What was decided about an exec that is to be stopped or killed, unless its tree is known to be new. */
  readonly observed?: (decision: Decision) => void;
  /** Whether the kernel acted at that time (ns, CLOCK_MONOTONIC) by the policy that is in force now. */
  readonly wasInForce?: (time: number) => boolean;
  /** The kernel has ended a program that the policy allows. */
  readonly onMismatch?: (exec: Execution, decision: Decision) => void;
  /** An exec was allowed, and so will be every one like it: such execs need not wake the warden. */
  readonly settle: (event: ExecEvent, process: Process) => void;
}

export class VerdictHandler implements Omit<TrackerListener, "onNetwork" | "onClose"> {
  /** Whether allowed execs are settled, so that equal ones no longer wake the warden at once. */
  settling = false;
  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns; set again before each batch of events. */
  wallOffset = 0;
  /** Events that were lost; a loss of unknown size counts as one. */
  lost = 0;
  private readonly inputs: VerdictInputs;
  constructor(inputs: VerdictInputs) {
    this.inputs = inputs;
  }

  onFork(child: Process): void {
    this.inputs.killer.forked(child);
  }

  onExec(exec: Execution): void {
    const { changes } = this.inputs;
    const knowledge = this.inputs.knowledgeOf(exec);
    const subject = execSubject(exec, this.wallOffset, this.inputs, knowledge);
    const seen = changes?.look(subject, knowledge);
    subject.changed = changes?.isChanged(subject, knowledge, seen);
    if (subject.changed === true) this.allowInWindow(subject);
    let { changed } = subject;
    const { current: policy } = this.inputs.policy;
    const { enforcement } = this.inputs;
    const isKnown = knowledge.known === true;
    let decision = this.decide(subject, exec);
    if (decision.armed && enforcement.mayAct && enforcement.refresh()) decision = this.decide(subject, exec);
    let { outcome, reason } = this.carryOut(exec, decision, isKnown);
    if (!isCarriedOut(outcome) && this.wasReported(policy, decision, subject, seen)) {
      changed = false;
      decision = this.decide({ ...subject, changed }, exec);
      ({ outcome, reason } = this.carryOut(exec, decision, isKnown));
    }
    if (seen !== undefined) this.captureContent(subject, changed, isPending(seen));
    this.count(decision, outcome, exec);
    if (actsOnTree(decision.action) && knowledge.known !== false) this.inputs.observed?.(decision);
    let wanted = seen;
    if (!exec.tree.unscored) {
      this.inputs.learnFrom(exec, knowledge);
      const isLearning = this.inputs.isLearning?.() === true;
      if (!isKnown || isLearning) wanted ??= changes?.learn(subject, isLearning);
    }
    if (exec.event !== undefined && this.maySettle(decision, subject, wanted))
      this.inputs.settle(exec.event, exec.process);
    if (decision.undecided.length > 0) this.awaitAnswers(subject, seen, decision, policy);
    const { outbox, stamp } = this.inputs;
    const isRemembered = knowledge.known !== true && !exec.tree.unscored;
    if (isRemembered && this.inputs.newTrees.isNew(exec.tree, isUnknown(knowledge))) {
      const known = knowledge.known === undefined ? "absent" : knowledge.known === null ? "null" : "false";
      this.inputs.totals.counter("newTrees", { known }).add(1);
      outbox.reliable(
        records.exec(subject, "tree.new", stamp, this.inputs.ancestorsOf?.(exec.process)),
        "common",
      );
    }
    if (reason === "mismatch") this.inputs.onMismatch?.(exec, decision);
    if (decision.action !== "allow" || outcome === "prevented")
      this.inputs.repeatedVerdicts.onVerdict({ subject, decision, outcome, reason, policy });
    if (!outbox.watched) return;
    if (this.inputs.load.shedsPlainEvents) outbox.shedBestEffort();
    else outbox.bestEffort(records.exec(subject, "process.exec", stamp));
  }

  /**
   * Judges an exec again, whose missing answers have come or will not come. What it has done since cannot be undone, and
   * its verdict was given: a kill is reported, and not carried out.
   */
  onLate({ subject, seen, undecided, policy }: AwaitingEvent): void {
    const { inputs } = this;
    // Rules that are no longer in force give no verdicts.
    if (policy !== inputs.policy.current) return;
    const { facts, tree, lineage, time } = subject;
    const late = lateSubject(
      subject,
      inputs.knowledgeOf({ facts, tree, process: { lineage }, time }),
      inputs,
    );
    const { knowledge } = late;
    late.changed = inputs.changes?.isChanged(late, knowledge, seen);
    if (late.changed === true) this.allowInWindow(late);
    let { changed } = late;
    const { states } = inputs.enforcement;
    let decision = decideAmong(policy, late, undecided, states);
    if (this.wasReported(policy, decision, late, seen)) {
      changed = false;
      decision = decideAmong(policy, { ...late, changed }, undecided, states);
    }
    if (seen !== undefined) this.captureContent(late, changed, false);
    if (decision.action === "allow") return;
    const { outcome } = reportedOnly(decision);
    inputs.verdicts.countLate(decision, outcome);
    if (actsOnTree(decision.action) && knowledge.known !== false) inputs.observed?.(decision);
    inputs.repeatedVerdicts.onVerdict({ subject: late, decision, outcome, reason: "late", policy });
  }

  /** What the kernel has ended is judged as the kernel did it, which needs no path that can be reported. */
  private decide(subject: ExecSubject, { event, facts }: Execution): Decision {
    const { policy, enforcement } = this.inputs;
    return event?.prevented === true && facts.executable === undefined
      ? decideAnew(policy.current, withoutPath(subject), enforcement.states)
      : decide(policy.current, subject, enforcement.states);
  }

  private captureContent(
    { process, time }: ExecSubject,
    changed: boolean | undefined,
    isAwaited: boolean,
  ): void {
    this.inputs.judgedContent?.({ pid: process.pid, time, changed, isAwaited });
  }

  /** In an open change window a new content is no alarm: it belongs to the change. */
  private allowInWindow(subject: ExecSubject): void {
    const change = this.inputs.windowOf?.(subject);
    if (change === undefined) return;
    subject.changed = undefined;
    subject.change = change;
  }

  onExit(process: Process, tree: Tree, event: ExitEvent): void {
    const { outbox, stamp, load, bootTimeMs } = this.inputs;
    if (!outbox.watched) return;
    if (load.shedsPlainEvents) {
      outbox.shedBestEffort();
      return;
    }
    outbox.bestEffort(records.exit(event, process, tree, bootTimeMs, event.time + this.wallOffset, stamp));
  }

  onLoss(event: LossEvent): void {
    const { outbox, stamp, totals } = this.inputs;
    totals.counter("eventsLost", { source: event.source, reason: event.reason }).add(event.count ?? 1);
    outbox.reliable(records.loss(event, event.time + this.wallOffset, stamp));
    this.lost += event.count ?? 1;
    // A scan of /proc finds processes, not connections.
    if (event.reason !== "network") this.inputs.onLoss();
  }

  /**
   * Whether the verdict is one on a content that was reported already: there is one for each new content. Otherwise it
   * is reported from now on.
   */
  private wasReported(
    policy: Policy,
    decision: Decision,
    { changed }: ExecSubject,
    seen: SeenState | undefined,
  ): boolean {
    const { changes } = this.inputs;
    if (changed !== true || seen === undefined || changes === undefined) return false;
    if (decision.action === "allow" || !namesContent(policy, decision)) return false;
    if (changes.isReported(seen)) return true;
    changes.setReported(seen);
    return false;
  }

  /**
   * Whether further execs like this one may be delivered late: none of them is killed, and the kernel's key of them covers
   * the content of what they run. It does not know which script an interpreter reads.
   */
  private maySettle(decision: Decision, { runnable }: ExecSubject, seen: SeenState | undefined): boolean {
    if (!this.settling || (seen !== undefined && seen.path !== runnable.executable)) return false;
    if (!this.inputs.enforcement.mayAct) return true;
    return !actsOnTree(decision.action) && decision.undecided.length === 0;
  }

  /** Has the exec judged again once the answers have come for which its rules were undecided. */
  private awaitAnswers(
    subject: ExecSubject,
    seen: SeenState | undefined,
    { undecided }: Decision,
    policy: Policy,
  ): void {
    const { late, awaited } = this.inputs;
    if (late === undefined) return;
    const keys = awaited?.(subject) ?? [];
    const all = isPending(seen) ? [...keys, contentKey(seen.question)] : keys;
    if (all.length > 0) late.add({ subject, seen, undecided, policy }, all, monotonicNow());
  }

  private carryOut(exec: Execution, decision: Decision, isKnown: boolean): CarriedOut {
    if (exec.event?.prevented === true) return this.isMeant(exec, decision) ? prevented : mismatched;
    if (decision.action === "allow") return allowed;
    const isArmed = this.inputs.enforcement.mayAct && decision.armed;
    if (decision.action === "alert" || !isArmed) return reportedOnly(decision);
    const cause = { rule: `${decision.ruleset}/${decision.rule}`, realUid: exec.facts.realUid, isKnown };
    const act = decision.action === "stop" ? "stop" : "kill";
    return this.inputs.kills[act](exec.process, cause, exec.time, observedExec(exec));
  }

  /** Whether the policy, too, would have ended a program that the kernel has ended. */
  private isMeant({ process, facts, time }: Execution, { action, armed, undecided }: Decision): boolean {
    if (action === "kill" && armed) return true;
    if (this.inputs.wasInForce?.(time) === false) return true;
    // What the kernel knew from its own record is not known here after a loss, or if the control group's path is too long.
    return undecided.length > 0 && (process.lineage.uncertain || facts.cgroup === undefined);
  }

  private count(decision: Decision, outcome: Outcome, { time, event }: Execution): void {
    const now = monotonicNow();
    this.inputs.verdicts.count(decision, outcome, now - time);
    // What a scan found may have run for days.
    if (event !== undefined) this.inputs.load.onVerdict(now - time, now);
  }
}

/** A baseline is in force and does not know the habit. In a change window `known` is absent. */
function isUnknown({ known, change }: Knowledge): boolean {
  return known === false || change !== undefined;
}

function observedExec({ event }: Execution): ObservedExec | undefined {
  if (event === undefined) return undefined;
  return { time: event.time, args: event.facts.argsTruncated ? undefined : event.facts.args };
}

/** The subject that the policy decides about. */
export function execSubject(
  exec: Execution,
  wallOffset: number,
  inputs: Pick<VerdictInputs, "bootTimeMs" | "userName" | "examined" | "imageOf" | "podOf">,
  knowledge: Knowledge = {},
): ExecSubject {
  const { process, facts } = exec;
  const { lineage, ancestry } = process;
  const wallTime = (exec.time + wallOffset) / 1e6;
  const containerId = facts.cgroup === undefined ? undefined : lineage.container;
  return {
    kind: "exec",
    source: exec.source,
    time: exec.time,
    wallTime,
    process,
    facts,
    runnable: lineage.program,
    lineage,
    tree: exec.tree,
    parentPid: process.parentPid === 0 ? undefined : process.parentPid,
    parent: ancestry ?? undefined,
    knowledge,
    containerId,
    unit: facts.cgroup === undefined ? undefined : unitOf(facts.cgroup),
    containerImage: imageFor(containerId, inputs),
    pod: typeof containerId === "string" ? inputs.podOf?.(containerId) : containerId,
    examined: containerId === null ? inputs.examined?.(facts, wallTime) : undefined,
    changed: undefined,
    change: knowledge.change,
    bootTimeMs: inputs.bootTimeMs,
    userName: inputs.userName,
  };
}

/** The subject of an exec that is judged again, with the answers that have come since. */
export function lateSubject(
  subject: ExecSubject,
  knowledge: Knowledge,
  inputs: Pick<VerdictInputs, "examined" | "imageOf" | "podOf">,
): ExecSubject {
  const { containerId, facts, wallTime } = subject;
  return {
    ...subject,
    knowledge,
    change: knowledge.change,
    containerImage: imageFor(containerId, inputs),
    pod: typeof containerId === "string" ? inputs.podOf?.(containerId) : containerId,
    examined: containerId === null ? inputs.examined?.(facts, wallTime) : undefined,
  };
}

/** The image of a container, as far as it is known. */
export function imageFor(
  container: string | null | undefined,
  { imageOf }: Pick<VerdictInputs, "imageOf">,
): string | undefined {
  return (typeof container === "string" ? imageOf?.(container) : undefined) ?? undefined;
}

/** Outcomes with which the process was not signalled, and was not to be. */
const onlyReported: ReadonlySet<Outcome> = new Set(["alerted", "would_stop", "would_kill", "allowed"]);

/** Whether the process was, or should have been, signalled. */
function isCarriedOut(outcome: Outcome): boolean {
  return !onlyReported.has(outcome);
}

/** Whether the examiner is still to answer. */
function isPending(seen: SeenState | undefined): seen is SeenState {
  return seen !== undefined && seen.content === undefined;
}

/** The name of the answer to a question about a content, see `LateVerdicts.answered`. */
export function contentKey(question: number): string {
  return `content:${question}`;
}
