// Kills a process and all its descendants, and no other process.
//
// Each process gets SIGKILL through a pidfd, after its start time was compared, or so soon after its event that the
// pid cannot have been reused; so no other process is ever hit. Parents are killed before their children, so that they
// cannot fork any more. Children that were forked before the signal arrived are killed when the sensor reports their
// fork, which it does before it reports the end of their parent.
import type { Forest } from "../forest/forest.ts";
import type { Process } from "../forest/process.ts";
import { PID_STAYS_NS } from "../linux/clock.ts";
import { type ProcessKey, startsAt } from "../vocabulary/process-key.ts";
import type { KillBudget } from "./kill-budget.ts";
import { offenderOf } from "./offender.ts";
import type { Outcome, Reason } from "./outcome.ts";

/** The kernel functions that killing needs; tests replace them. */
export interface ProcessSignals {
  /** ns, CLOCK_MONOTONIC */
  now(): number;
  /** Start ticks of the process that has `pid` now (field 22 of /proc/PID/stat); undefined if there is none. */
  startTicks(pid: number): number | undefined;
  /**
   * Sends SIGKILL to `process`. `isStillIt` is called with a pidfd open, and must check that the pid was not reused.
   */
  kill(process: ProcessKey, isStillIt: () => boolean): "sent" | "gone" | "not_permitted";
  /**
   * True if the process is part of treewarden: supervisor, warden or standby. `args` are all arguments that it was
   * started with, if they are known; they usually answer this without reading /proc.
   */
  isOwnProcess(process: ProcessKey, args?: readonly string[]): boolean;
}

/** The exec that was judged. */
export interface ObservedExec {
  /** ns, CLOCK_MONOTONIC, as the kernel recorded it. */
  readonly time: number;
  /** All arguments, if they are known. */
  readonly args: readonly string[] | undefined;
}

/** Why a process is to be killed. */
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
}

export interface KillResult {
  readonly outcome: Extract<Outcome, "killed" | "withheld" | "failed">;
  readonly reason: Reason | undefined;
  /** Number of processes that got the signal. */
  readonly killed: number;
}

export class ProcessKiller {
  private readonly forest: Forest;
  private readonly signals: ProcessSignals;
  private readonly budget: KillBudget;
  private readonly options: KillOptions;
  /** Processes that were sent SIGKILL; children that they forked before they died are killed too. */
  private readonly marked = new WeakSet<Process>();

  constructor(forest: Forest, signals: ProcessSignals, budget: KillBudget, options: KillOptions) {
    this.forest = forest;
    this.signals = signals;
    this.budget = budget;
    this.options = options;
  }

  /** Carries out a kill verdict. `exec` is undefined if the process was found by a scan and not by an event. */
  kill(process: Process, cause: KillCause, exec?: ObservedExec): KillResult {
    const isFoundRunning = exec === undefined && !hasExecuted(process);
    const spared = this.safeguard(process, cause.isKnown || isFoundRunning, exec?.args);
    if (spared !== undefined) return { outcome: "withheld", reason: spared, killed: 0 };
    // Of a process that was sent SIGKILL, or is a child of one, the kill was paid for.
    if (this.marked.has(process)) return this.killTree(process, exec);
    const offender = offenderOf(process.lineage, cause.realUid, cause.rule);
    const charge = this.budget.charge(offender, this.signals.now());
    if (charge === "refused") return { outcome: "withheld", reason: "rate_limited", killed: 0 };
    const result = this.killTree(process, exec);
    if (charge === "charged" && result.killed === 0) this.budget.refund(offender);
    return result;
  }

  /** How many further offenders may be killed now. */
  get budgetRemaining(): number {
    return this.budget.remaining(this.signals.now());
  }

  private killTree(process: Process, exec: ObservedExec | undefined): KillResult {
    let killed = 0;
    let reason: Reason | undefined = "gone";
    for (const target of this.forest.descendants(process)) {
      if (target !== process && this.safeguard(target, !hasExecuted(target)) !== undefined) continue;
      const result = this.sendKill(target, target === process ? exec?.time : undefined);
      if (result === "sent") killed += 1;
      if (target === process) reason = result === "sent" ? undefined : result;
    }
    return { outcome: reason === undefined ? "killed" : "failed", reason, killed };
  }

  /** Must be called for every fork: kills the child of a marked process; true if it was sent the signal. */
  forked(child: Process): boolean {
    const parent = this.forest.get(child.parentPid);
    if (parent === undefined || !this.marked.has(parent) || this.safeguard(child, true) !== undefined)
      return false;
    return this.sendKill(child) === "sent";
  }

  /** `seenAt`: when the kernel recorded that the process was alive; ns, CLOCK_MONOTONIC. */
  private sendKill(process: Process, seenAt?: number): "sent" | "gone" | "not_permitted" {
    this.marked.add(process);
    return this.signals.kill(process, () => {
      if (seenAt !== undefined && this.signals.now() - seenAt < PID_STAYS_NS) return true;
      const ticks = this.signals.startTicks(process.pid);
      return ticks !== undefined && startsAt(process, ticks);
    });
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
    return undefined;
  }
}

/** Whether the process has executed another program since it was first seen. */
function hasExecuted({ lineage }: Process): boolean {
  return lineage.earlier.length > 0;
}
