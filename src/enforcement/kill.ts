// Kills or stops a process and all its descendants, and no other process.
//
// Each process gets SIGKILL, or SIGSTOP, through a pidfd, after its start time was compared, or so soon after its event
// that the pid cannot have been reused; so no other process is ever hit. Parents come before their children, so that they
// cannot fork any more. Children that were forked before the signal arrived are signalled by the kernel where it can do
// that (`CondemnedProcesses`), and otherwise when the sensor reports their fork, which precedes the end of their parent.
import type { Forest } from "../forest/forest.ts";
import type { Process } from "../forest/process.ts";
import { PID_STAYS_NS } from "../linux/clock.ts";
import type { CondemnedSignal } from "../sensor/condemned.ts";
import { type ProcessKey, startsAt } from "../vocabulary/process-key.ts";
import type { Payer } from "../vocabulary/shares.ts";
import type { KillBudget } from "./kill-budget.ts";
import { offenderOf, payersOf } from "./offender.ts";
import type { Outcome, Reason } from "./outcome.ts";
import type { StoppedTree, StoppedTrees } from "./stopped-trees.ts";

/**
 * For this time after a kill (ns) events are read at once, so that children whose forks are not read yet end soon: a fork
 * takes some 100 us, and on a busy host some milliseconds.
 */
const SWEEP_NS = 20e6;

/** The kernel functions that killing needs; tests replace them. */
export interface ProcessSignals {
  /** ns, CLOCK_MONOTONIC */
  now(): number;
  /** Seconds since 1970-01-01T00:00:00Z. */
  wallNow(): number;
  /** Start ticks of the process that has `pid` now (field 22 of /proc/PID/stat); undefined if there is none. */
  startTicks(pid: number): number | undefined;
  /**
   * Sends `signal` to `process`, and has the kernel carry it on to what that forks and executes meanwhile. `isStillIt` is
   * called with a pidfd open, and must check that the pid was not reused.
   */
  send(process: ProcessKey, signal: CondemnedSignal, isStillIt: () => boolean): SendResult;
  /** Has a process that was stopped go on, and what it forks. `isStillIt`: as for `send`. */
  release(process: ProcessKey, isStillIt: () => boolean): SendResult;
  /**
   * True if the process is part of treewarden: supervisor, warden or standby. `args` are all arguments that it was
   * started with, if they are known; they usually answer this without reading /proc.
   */
  isOwnProcess(process: ProcessKey, args?: readonly string[]): boolean;
}

export type SendResult = "sent" | "gone" | "not_permitted";

/** The exec that was judged. */
export interface ObservedExec {
  /** ns, CLOCK_MONOTONIC, as the kernel recorded it. */
  readonly time: number;
  /** All arguments, if they are known. */
  readonly args: readonly string[] | undefined;
}

/** Why a process is to be killed or stopped. */
export interface KillCause {
  /** Role and id of the rule. */
  readonly rule: string;
  /** The real user of the process; undefined if it could not be read. */
  readonly realUid: number | undefined;
  /** The baseline knows what the process runs. */
  readonly isKnown: boolean;
}

export interface KillOptions {
  /**
   * Start ticks of treewarden's first start in this boot. Processes that started before are spared while they run what
   * they ran then, or what the baseline knows. 0 spares none.
   */
  readonly spareBefore: number;
  /** Whether the process belongs to a session in which nothing is killed. */
  readonly isInSparedSession?: (process: Process) => boolean;
  /** Absent: processes are killed at once. */
  readonly evidence?: EvidenceTaker | undefined;
}

/** Takes evidence of a process that stands still and dies after that. */
export interface EvidenceTaker {
  /** Whether evidence may be taken now, at the charge of these. */
  mayTake(payers: readonly Payer[]): boolean;
  /** `tree` is killed once the evidence was taken, or after a time limit. Does not wait. */
  take(process: Process, tree: StoppedTree): void;
}

export interface KillResult {
  readonly outcome: Extract<Outcome, "killed" | "stopped" | "withheld" | "failed">;
  readonly reason: Reason | undefined;
  /** Number of processes that got the signal. */
  readonly killed: number;
}

/** `refused`: processes that the kernel did not let be signalled. */
export interface SentCount {
  readonly sent: number;
  readonly refused: number;
}

export class ProcessKiller {
  private readonly forest: Forest;
  private readonly signals: ProcessSignals;
  private readonly budget: KillBudget;
  private readonly options: KillOptions;
  private readonly stopped: StoppedTrees;
  /** Processes that were sent SIGKILL; children that they forked before they died are killed too. */
  private readonly marked = new WeakSet<Process>();
  /** ns, CLOCK_MONOTONIC */
  private sweepUntil = 0;

  constructor(
    forest: Forest,
    signals: ProcessSignals,
    budget: KillBudget,
    stopped: StoppedTrees,
    options: KillOptions,
  ) {
    this.forest = forest;
    this.signals = signals;
    this.budget = budget;
    this.stopped = stopped;
    this.options = options;
  }

  /** Carries out a kill verdict. `exec` is undefined if the process was found by a scan and not by an event. */
  kill(process: Process, cause: KillCause, exec?: ObservedExec): KillResult {
    const spared = this.sparedFromVerdict(process, cause, exec);
    if (spared !== undefined) return withheld(spared);
    // Of a process that was sent SIGKILL, or is a child of one, the kill was paid for.
    if (this.marked.has(process)) return this.killTree(process, exec);
    // It was frozen for another program, which it had replaced by this one before, and dies in a moment.
    if (this.stopped.treeOf(process)?.dies === true)
      return { outcome: "killed", reason: undefined, killed: 1 };
    // Of an offender that is killed again and again there is evidence once a minute.
    return this.charged(process, cause, (isFirst) =>
      isFirst ? this.killWithEvidence(process, cause, exec) : this.killTree(process, exec),
    );
  }

  /** Freezes the tree and has evidence taken, after which it dies; without evidence it is killed at once. */
  private killWithEvidence(process: Process, cause: KillCause, exec: ObservedExec | undefined): KillResult {
    const { evidence } = this.options;
    const isWanted = evidence !== undefined && this.stopped.treeOf(process) === undefined;
    if (!isWanted || !evidence.mayTake(payersOf(process.lineage, cause.realUid)))
      return this.killTree(process, exec);
    const tree = this.beginStop(process, cause, true);
    if (tree === undefined) return this.killTree(process, exec);
    const freeze = (target: Process, seenAt: number | undefined): SendResult =>
      this.sendStop(target, tree, seenAt);
    const result = this.signalTree(process, exec, "killed", freeze);
    if (tree.members.has(process)) evidence.take(process, tree);
    else if (tree.members.size === 0) this.stopped.end(tree);
    else this.killStopped(tree);
    return result;
  }

  private beginStop(process: Process, { rule, realUid }: KillCause, dies: boolean): StoppedTree | undefined {
    const payers = payersOf(process.lineage, realUid);
    return this.stopped.begin({ root: process, rule, since: this.signals.wallNow(), payers, dies });
  }

  /** Carries out a verdict to stop: the tree stands still until it is released or killed. Otherwise as `kill`. */
  stop(process: Process, cause: KillCause, exec?: ObservedExec): KillResult {
    const spared = this.sparedFromVerdict(process, cause, exec);
    if (spared !== undefined) return withheld(spared);
    if (this.marked.has(process)) return this.killTree(process, exec);
    const known = this.stopped.treeOf(process);
    if (known !== undefined) return this.stopTree(process, known, exec);
    const tree = this.beginStop(process, cause, false);
    if (tree === undefined) return withheld("too_many_stopped");
    const result = this.charged(process, cause, () => this.stopTree(process, tree, exec));
    if (tree.members.size === 0) this.stopped.end(tree);
    return result;
  }

  /**
   * Carries out what `act` does at the charge of the offender, if there is budget for it. `isFirst`: it was not killed or
   * stopped in the last minute.
   */
  private charged(
    process: Process,
    { realUid, rule }: KillCause,
    act: (isFirst: boolean) => KillResult,
  ): KillResult {
    const offender = offenderOf(process.lineage, realUid, rule);
    const charge = this.budget.charge(offender, this.signals.now());
    if (charge === "refused") return withheld("rate_limited");
    const result = act(charge === "charged");
    if (charge === "charged" && result.killed === 0) this.budget.refund(offender);
    return result;
  }

  /** How many further offenders may be killed now. */
  get budgetRemaining(): number {
    return this.budget.remaining(this.signals.now());
  }

  /** Whether children of killed or stopped processes may still be running, at `now` (ns, CLOCK_MONOTONIC). */
  isSweeping(now: number): boolean {
    return now < this.sweepUntil;
  }

  private killTree(process: Process, exec: ObservedExec | undefined): KillResult {
    return this.signalTree(process, exec, "killed", (target, seenAt) => this.sendKill(target, seenAt));
  }

  private stopTree(process: Process, tree: StoppedTree, exec: ObservedExec | undefined): KillResult {
    return this.signalTree(process, exec, "stopped", (target, seenAt) => this.sendStop(target, tree, seenAt));
  }

  private signalTree(
    process: Process,
    exec: ObservedExec | undefined,
    outcome: "killed" | "stopped",
    send: (target: Process, seenAt: number | undefined) => SendResult,
  ): KillResult {
    let killed = 0;
    let reason: Reason | undefined = "gone";
    for (const target of this.forest.descendants(process)) {
      if (target !== process && this.safeguard(target, !hasExecuted(target)) !== undefined) continue;
      const result = send(target, target === process ? exec?.time : undefined);
      if (result === "sent") killed += 1;
      if (target === process) reason = result === "sent" ? undefined : result;
    }
    return { outcome: reason === undefined ? outcome : "failed", reason, killed };
  }

  /**
   * Must be called for every fork: kills or stops the child of a process that was; true if the child was sent the signal.
   */
  forked(child: Process): boolean {
    const parent = this.forest.get(child.parentPid);
    if (parent === undefined) return false;
    const isKilled = this.marked.has(parent);
    const tree = isKilled ? undefined : this.stopped.treeOf(parent);
    if ((!isKilled && tree === undefined) || this.safeguard(child, true) !== undefined) return false;
    const result = tree === undefined ? this.sendKill(child) : this.sendStop(child, tree);
    return result === "sent";
  }

  /** Must be called for every exit. */
  exited(process: Process): void {
    if (this.stopped.size > 0) this.stopped.exited(process);
  }

  /** Stops a process of a stopped tree again: one that an earlier warden had stopped, or that somebody has continued. */
  stopAgain(process: Process, tree: StoppedTree): SendResult {
    return this.sendStop(process, tree);
  }

  /** Has all processes of a stopped tree go on; returns how many did, and how many could not be signalled. */
  release(tree: StoppedTree): SentCount {
    return this.endStop(tree, (process) =>
      this.signals.release(process, () => this.isStillIt(process, undefined)),
    );
  }

  /** Kills all processes of a stopped tree, on behalf of root; returns as `release`. */
  killStopped(tree: StoppedTree): SentCount {
    return this.endStop(tree, (process) => this.sendKill(process));
  }

  private endStop(tree: StoppedTree, send: (process: Process) => SendResult): SentCount {
    let sent = 0;
    let refused = 0;
    for (const process of tree.members) {
      const result = send(process);
      if (result === "sent") sent += 1;
      if (result === "not_permitted") refused += 1;
    }
    if (refused === 0) this.stopped.end(tree);
    return { sent, refused };
  }

  /** `seenAt`: when the kernel recorded that the process was alive; ns, CLOCK_MONOTONIC. */
  private sendKill(process: Process, seenAt?: number): SendResult {
    this.marked.add(process);
    return this.send(process, "SIGKILL", seenAt);
  }

  private sendStop(process: Process, tree: StoppedTree, seenAt?: number): SendResult {
    const result = this.send(process, "SIGSTOP", seenAt);
    if (result === "sent") this.stopped.add(tree, process);
    return result;
  }

  private send(process: Process, signal: CondemnedSignal, seenAt: number | undefined): SendResult {
    const result = this.signals.send(process, signal, () => this.isStillIt(process, seenAt));
    if (result === "sent") this.sweepUntil = this.signals.now() + SWEEP_NS;
    return result;
  }

  private isStillIt(process: Process, seenAt: number | undefined): boolean {
    // Not by the time of the exec: a pid that was given out long ago may be the very next one that the kernel gives out.
    const isNew = process.startExact && this.signals.now() - process.startTime < PID_STAYS_NS;
    if (seenAt !== undefined && isNew) return true;
    const ticks = this.signals.startTicks(process.pid);
    return ticks !== undefined && startsAt(process, ticks);
  }

  private sparedFromVerdict(
    process: Process,
    { isKnown }: KillCause,
    exec: ObservedExec | undefined,
  ): Reason | undefined {
    const isFoundRunning = exec === undefined && !hasExecuted(process);
    return this.safeguard(process, isKnown || isFoundRunning, exec?.args);
  }

  /**
   * Why `process` must not be killed; undefined if it may be killed. `isUnchanged`: if it was there before treewarden, it
   * still runs what it ran then, or what the baseline knows.
   */
  private safeguard(process: Process, isUnchanged: boolean, args?: readonly string[]): Reason | undefined {
    if (process.pid <= 1) return "pid_1";
    if (process.kernelThread) return "kernel_thread";
    if (isUnchanged && process.startTicks < this.options.spareBefore) return "preexisting";
    if (this.signals.isOwnProcess(process, args)) return "treewarden";
    if (this.options.isInSparedSession?.(process) === true) return "spared_session";
    return undefined;
  }
}

function withheld(reason: Reason): KillResult {
  return { outcome: "withheld", reason, killed: 0 };
}

/** Whether the process has executed another program since it was first seen. */
function hasExecuted({ lineage }: Process): boolean {
  return lineage.earlier.length > 0;
}
