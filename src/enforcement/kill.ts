// Kills a process and everything under it, and nothing else.
//
// Each one gets SIGKILL through a pidfd, after its start time was compared, or so soon after the event that told of it
// that its pid cannot have been given out again: another process is never hit. Parents go before their children, so that none of them can fork any more; children that were born before the
// signal arrived are told by the sensor afterwards (their fork is in the queue before their parent's end) and die then.
import type { Forest } from "../forest/forest.ts";
import type { Process } from "../forest/process.ts";
import { PID_STAYS_NS } from "../linux/clock.ts";
import { type ProcessKey, startsAt } from "../vocabulary/process-key.ts";
import type { Outcome, Reason } from "./outcome.ts";
import type { KillRate } from "./rate.ts";

/** What killing needs of the kernel; `linux/` has it, tests have their own. */
export interface ProcessSignals {
  /** ns, CLOCK_MONOTONIC */
  now(): number;
  /** Start ticks of the process that has `pid` now (field 22 of /proc/PID/stat); undefined if there is none. */
  startTicks(pid: number): number | undefined;
  /** SIGKILL for `process`. `isStillIt` is asked once a handle on its pid is open: the pid may be another's by now. */
  kill(process: ProcessKey, isStillIt: () => boolean): "sent" | "gone" | "not_permitted";
  /**
   * The process is part of treewarden: supervisor, warden, standby. `args`: all arguments that it was started with, if
   * they are known; mostly they tell without a look at the process.
   */
  isOurs(process: ProcessKey, args?: readonly string[]): boolean;
}

/** The exec that a verdict is on. */
export interface ObservedExec {
  /** ns, CLOCK_MONOTONIC, by the kernel. */
  readonly time: number;
  /** All arguments, if they are known. */
  readonly args: readonly string[] | undefined;
}

export interface KillOptions {
  /** Start ticks of treewarden's first start in this boot; what started before is spared. 0 spares nothing. */
  readonly spareBefore: number;
}

export interface KillResult {
  readonly outcome: Extract<Outcome, "killed" | "withheld" | "failed">;
  readonly reason: Reason | undefined;
  /** How many processes got the signal. */
  readonly killed: number;
}

export class ProcessKiller {
  private readonly forest: Forest;
  private readonly signals: ProcessSignals;
  private readonly rate: KillRate;
  private readonly options: KillOptions;
  private readonly condemned = new WeakSet<Process>();

  constructor(forest: Forest, signals: ProcessSignals, rate: KillRate, options: KillOptions) {
    this.forest = forest;
    this.signals = signals;
    this.rate = rate;
    this.options = options;
  }

  /** Carries a kill verdict out. `told`: undefined if the process was found, and no event told of it. */
  kill(process: Process, told?: ObservedExec): KillResult {
    const spared = this.rail(process, told?.args);
    if (spared !== undefined) return { outcome: "withheld", reason: spared, killed: 0 };
    if (!this.rate.take(this.signals.now()))
      return { outcome: "withheld", reason: "rate_limited", killed: 0 };
    let killed = 0;
    let reason: Reason | undefined = "gone";
    for (const one of this.forest.descendants(process)) {
      if (one !== process && this.rail(one) !== undefined) continue;
      const result = this.end(one, one === process ? told?.time : undefined);
      if (result === "sent") killed += 1;
      if (one === process) reason = result === "sent" ? undefined : result;
    }
    return { outcome: reason === undefined ? "killed" : "failed", reason, killed };
  }

  /** To be called for every fork: true if the child of a condemned process was ended too. */
  forked(child: Process): boolean {
    const parent = this.forest.get(child.parentPid);
    if (parent === undefined || !this.condemned.has(parent) || this.rail(child) !== undefined) return false;
    return this.end(child) === "sent";
  }

  /** `seen`: when the kernel told that it lives. */
  private end(process: Process, seen?: number): "sent" | "gone" | "not_permitted" {
    this.condemned.add(process);
    return this.signals.kill(process, () => {
      if (seen !== undefined && this.signals.now() - seen < PID_STAYS_NS) return true;
      const ticks = this.signals.startTicks(process.pid);
      return ticks !== undefined && startsAt(process, ticks);
    });
  }

  private rail(process: Process, args?: readonly string[]): Reason | undefined {
    if (process.pid <= 1) return "pid_1";
    if (process.kernelThread) return "kernel_thread";
    if (process.startTicks < this.options.spareBefore) return "preexisting";
    if (this.signals.isOurs(process, args)) return "treewarden";
    return undefined;
  }
}
