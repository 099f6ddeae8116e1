// Has the kernel end programs that armed rules kill whatever they are: gives each process sets of files that it, and its
// children, may execute.
//
// A change of anything that a decision depends on raises the epoch. From then on no process is closed until each has been judged
// again (`applying`); when that is done, the order or the policy is in force. From then on, processes that are forked or
// execute a program are judged as their events are read (`onFork`, `onProcess`), those of a kind that was not judged before a
// little later (`judgingNew`).

import type { Process } from "../forest/process.ts";
import { monotonicNow } from "../linux/clock.ts";
import { type Closing, ClosingCompiler, type ClosingInputs } from "../policy/closing.ts";
import type { Policy } from "../policy/policy.ts";
import type { RuleStates } from "../policy/rule-state.ts";
import type { Prevention } from "../sensor/prevention/closed-set.ts";
import type { Payer } from "../vocabulary/shares.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { ClosedSetMaker, type JudgedSets, MOST_SETS, openSets } from "./closed-set-maker.ts";
import { type ClosedNow, type ClosedSummary, summarizeClosed } from "./closed-summary.ts";
import type { EpochReason } from "./epoch.ts";
import { FairQueue } from "./fair-queue.ts";
import { ForkedProcesses } from "./forked-processes.ts";
import type { IdentifiedFiles } from "./identified-files.ts";
import type { ListedFiles } from "./listed-files.ts";
import type { PreventionLimit } from "./prevention-limit.ts";
import { ProcessPayers } from "./process-payers.ts";
import { ProcessSets, type ProcessSetsInputs } from "./process-sets.ts";
import { UnrecordedEnds } from "./unrecorded-ends.ts";

export interface ClosedLineagesInputs extends ProcessSetsInputs {
  readonly policy: { readonly current: Policy };
  readonly enforcement: { readonly mayPrevent: boolean; readonly states: RuleStates };
  readonly epoch: { readonly current: number };
  readonly processes: () => Iterable<Process>;
  /** The part of the sensor in use that prevents; undefined if it cannot. */
  readonly kernel: () => Prevention | undefined;
  /** As `ClosingInputs`, of the baseline in force. */
  readonly closing: () => Omit<ClosingInputs, "filesOf">;
  readonly files: IdentifiedFiles;
  readonly listed: ListedFiles;
  /** Asks for a call of `applying` soon. */
  readonly schedule: () => void;
  /** Asks for a call of `judgingNew` soon. */
  readonly scheduleNew: () => void;
  readonly isAlive: (process: Process) => boolean;
  readonly limit: Pick<PreventionLimit, "look">;
  /** The kernel has ended `count` more programs of which no event was read. */
  readonly onUnrecorded: (count: number) => void;
}

/** Between two beats. The kernel opens every process 15 s after the last one (WITHOUT_WARDEN_MS). */
const BEAT_NS = 2e9;
/**
 * How long a set without processes is kept. The events of all forks before are read sooner, so that no child that has inherited
 * it is left.
 */
const RETIRED_NS = 5e9;
/** A step of the wall clock that is smaller than this is covered by SETTLED_NS, see `IdentifiedFiles`. */
const STEP_NS = 1e9;
/** Between two readings of the kernel's counters, for which each set is looked up, at some 1 us. */
const COUNT_NS = 10e9;
/**
 * How long, at most, processes stay as the warden before has closed them, while files are being identified. The examiner starts
 * in 2 s.
 */
const HELD_NS = 5e9;
/** Processes of new kinds that may wait to be judged: more than are forked in a second. Others keep what the kernel gave them. */
const WAITING = 10_000;
/** Kinds of processes that are judged before other work gets its turn; each takes up to some 40 ms. */
const AT_ONCE = 32;
const nobody: readonly Payer[] = [];

export class ClosedLineages {
  /** Why some processes are open that could be closed; for `status`. */
  problem: string | undefined;
  private readonly inputs: ClosedLineagesInputs;
  private compiler: ClosingCompiler | undefined;
  private kernel: Prevention | undefined;
  private readonly maker: ClosedSetMaker;
  private readonly sets: ProcessSets;
  private readonly payers = new ProcessPayers();
  /** The epoch in which `applying` was called last. */
  private judgedEpoch: number | undefined;
  private readonly forked = new ForkedProcesses((process) => {
    if (this.inputs.isAlive(process)) this.onProcess(process);
  });
  /** Processes of kinds that were not judged yet. */
  private readonly waiting = new FairQueue<Process>(WAITING);
  private closedCount = 0;
  /** Sets that the kernel has been given may be wrong now. */
  private isOutdated = true;
  /** Sets that none of the judged processes has any more; they are removed RETIRED_NS after `retiredAt`. */
  private readonly retired: number[] = [];
  /** ns, CLOCK_MONOTONIC */
  private retiredAt = 0;
  /** When the last beat was given; ns, CLOCK_MONOTONIC. */
  private beatAt = 0;
  /** When the kernel's counters were read last; ns, CLOCK_MONOTONIC. */
  private countAt = 0;
  /** Since when what is in force now acts; ns, CLOCK_MONOTONIC. */
  private actsSince = Number.POSITIVE_INFINITY;
  /** Until when, at the latest, processes stay as the warden before has closed them; ns, CLOCK_MONOTONIC. */
  private heldUntil: number | undefined;
  /** Processes are as the warden before has closed them. */
  private isHeld = false;
  private readonly unrecorded = new UnrecordedEnds();
  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns, when files were identified first. */
  private wallOffset: number | undefined;

  constructor(inputs: ClosedLineagesInputs) {
    this.inputs = inputs;
    this.maker = new ClosedSetMaker(inputs.files, (why) => {
      this.problem ??= `the kernel has no room for what closed processes may execute: ${why}`;
    });
    this.sets = new ProcessSets(inputs, this.maker);
  }

  /** How many processes were closed when all were judged last. */
  get closedProcesses(): number {
    return this.closedCount;
  }

  /** Something has changed that decisions depend on: what the kernel was given may be wrong now. */
  onEpoch(reason: EpochReason): void {
    if (reason === "packages" || reason === "base system" || reason === "policy") {
      this.inputs.files.refresh();
      this.inputs.listed.refresh();
    }
    // No decision that closes depends on packages and on the names of containers' images alone.
    const mayBeWrong = reason !== "container" && reason !== "packages";
    if (mayBeWrong) this.isOutdated = true;
    // A change that may weaken a rule takes effect at once.
    if (mayBeWrong && reason !== "users") {
      this.actsSince = Number.POSITIVE_INFINITY;
      if (this.kernel !== undefined && this.kernel === this.inputs.kernel()) {
        this.kernel.setActing(false);
        this.heldUntil = 0;
      }
    }
    this.inputs.schedule();
  }

  /**
   * Judges every process, and closes those that can be closed, one at a step. At its end the present epoch is in force in the
   * kernel, unless another change has come in between or the work of the warden before is held.
   */
  *applying(): Steps<void> {
    const { policy, enforcement, epoch, processes, listed } = this.inputs;
    const kernel = this.inputs.kernel();
    const isSameKernel = kernel === this.kernel;
    this.kernel = kernel;
    this.sets.forget();
    this.problem = undefined;
    this.compiler = undefined;
    this.closedCount = 0;
    if (!isSameKernel) this.forgetSets();
    if (kernel === undefined) return;
    const of = epoch.current;
    if (of !== this.judgedEpoch) this.sets.forgetMisjudged();
    this.judgedEpoch = of;
    const compiler = new ClosingCompiler(policy.current, enforcement.states, {
      ...this.inputs.closing(),
      filesOf: (pattern) => listed.get(pattern),
    });
    if (enforcement.mayPrevent && !compiler.isEmpty) this.compiler = compiler;
    this.isHeld = kernel.isInherited && (yield* this.isToBeHeld(kernel));
    if (this.isHeld) return;
    const isOutdated = this.isOutdated || this.compiler === undefined || kernel.isInherited;
    // Sets that are not outdated stay for children whose fork was not read yet, as long as new ones have room beside them.
    const isVoid = isOutdated || this.maker.sets.size + this.retired.length >= MOST_SETS / 2;
    const before = isVoid ? [...this.maker.sets.takeAll(), ...this.retired.splice(0)] : [];
    if (!isVoid) this.maker.sets.beginUse();
    if (this.compiler === undefined && before.length === 0 && !kernel.isInherited) return;
    kernel.setEpoch(of);
    kernel.beat();
    if (this.compiler !== undefined) {
      for (const process of [...processes()]) {
        if (yield* this.closing(process)) this.closedCount += 1;
        yield;
      }
      this.askWanted();
    }
    if (isVoid) kernel.enforceEpoch();
    for (const set of before) kernel.remove(set);
    // Another change may have come in between: its own work follows.
    if (epoch.current !== of || this.compiler === undefined) return;
    this.isOutdated = false;
    this.retired.push(...this.maker.sets.takeUnused());
    const now = monotonicNow();
    this.retiredAt = now;
    if (isOutdated) this.actsSince = now;
    kernel.setActing(true);
  }

  /**
   * Whether the kernel goes on with what the warden before has given it: until the files that processes may execute are
   * identified, they would be open.
   */
  private *isToBeHeld(kernel: Prevention): Steps<boolean> {
    const { compiler } = this;
    const now = monotonicNow();
    this.heldUntil ??= now + HELD_NS;
    if (compiler === undefined || now >= this.heldUntil) return false;
    kernel.beat();
    for (const process of [...this.inputs.processes()]) {
      yield* this.sets.judging(process, compiler, kernel);
      yield;
    }
    this.askWanted();
    // These sets go with those of the warden before.
    this.sets.forget();
    return this.inputs.files.isAwaited || this.inputs.listed.isAwaited;
  }

  /** Forgets the sets that the programs of another source of events had. */
  private forgetSets(): void {
    this.maker.sets.takeAll();
    this.retired.length = 0;
    this.isOutdated = true;
  }

  /**
   * Points a process that was forked to what it may execute, once the events that were read with its fork are handled: a
   * verdict among them comes first. Until then it has what the kernel has given it, which is nearly always the same.
   */
  onFork(process: Process): void {
    if (this.compiler !== undefined) this.forked.add(process);
  }

  /**
   * Points a process that has executed a program to what it may execute. A kind of process that was not
   * judged yet takes milliseconds: that is done beside the events, and until then it has what the kernel has given it.
   */
  onProcess(process: Process): void {
    this.forked.delete(process);
    if (this.compiler === undefined || this.kernel === undefined || this.isHeld) return;
    const sets = this.sets.get(process);
    if (sets === undefined) this.queue(process);
    else this.assign(process, sets);
  }

  private queue(process: Process): void {
    if (this.waiting.add(process, this.payers.of(process))) this.inputs.scheduleNew();
    else this.problem ??= "more processes of new kinds than can be judged: they stay as the kernel has them";
  }

  /**
   * Judges the kinds of processes that have appeared since, one at a step. It ends with as many as there are now: orders and
   * other work come before more of them.
   */
  *judgingNew(): Steps<void> {
    for (let left = Math.min(this.waiting.size, AT_ONCE); left > 0; left -= 1) {
      const process = this.waiting.take();
      if (process !== undefined && this.inputs.isAlive(process)) yield* this.closing(process);
      yield;
    }
    this.askWanted();
    if (this.waiting.size > 0) this.inputs.scheduleNew();
  }

  /** Judges the kind of the process, if it was not judged yet, and points it to its sets. True if it is closed. */
  private *closing(process: Process): Steps<boolean> {
    const { compiler, kernel } = this;
    if (compiler === undefined || kernel === undefined) return false;
    yield* this.sets.judging(process, compiler, kernel);
    if (!this.inputs.isAlive(process)) return false;
    const sets = this.sets.get(process);
    if (sets !== undefined) return this.assign(process, sets);
    // Meanwhile it has executed another program.
    this.queue(process);
    return false;
  }

  /** Points the process to its sets. True if it is closed. */
  private assign(process: Process, sets: JudgedSets): boolean {
    const { kernel } = this;
    if (kernel === undefined) return false;
    const { pid, startTicks, execId, lineage } = process;
    const payers = sets === openSets ? nobody : this.payers.of(process);
    const isAssigned = kernel.assign({ pid, startTicks, execId, uid: lineage.uid, payers }, sets);
    if (!isAssigned && sets !== openSets) this.problem ??= "the kernel has no room for more closed processes";
    return isAssigned && sets !== openSets;
  }

  /** Nanoseconds until `work` is due; undefined while nothing is closed. */
  dueIn(now: number): number | undefined {
    if (this.compiler === undefined || this.kernel === undefined) return undefined;
    const { files, listed } = this.inputs;
    return Math.min(this.beatIn(now), files.askedAgainIn, listed.askedAgainIn);
  }

  private beatIn(now: number): number {
    return Math.max(0, this.beatAt + BEAT_NS - now);
  }

  /** To be called at each turn of the loop; `now`: ns, CLOCK_MONOTONIC. */
  work(now: number): void {
    this.forked.finish();
    this.askWanted();
    if (this.compiler === undefined || this.kernel === undefined || this.beatIn(now) > 0) return;
    this.beatAt = now;
    if (this.isHeld && now >= (this.heldUntil ?? 0)) this.inputs.schedule();
    this.kernel.beat();
    this.inputs.limit.look(this.kernel, now);
    if (now - this.retiredAt >= RETIRED_NS) for (const set of this.retired.splice(0)) this.kernel.remove(set);
    if (now - this.countAt < COUNT_NS) return;
    this.countAt = now;
    this.count();
  }

  /** Whether what is in force now was already in force at `time` (ns, CLOCK_MONOTONIC), when the kernel ended a program. */
  wasInForce(time: number): boolean {
    return time >= this.actsSince;
  }

  /** The kernel has ended what a process executed, and its event was read. */
  onPrevented(): void {
    this.unrecorded.read += 1;
  }

  private count(): void {
    const counts = this.kernel?.counts();
    if (counts === undefined) return;
    if (counts.full > 0) this.problem ??= `the kernel had no room for ${counts.full} more closed processes`;
    const missing = this.unrecorded.take(counts);
    if (missing > 0) this.inputs.onUnrecorded(missing);
  }

  /**
   * Identifies files again after a step of the wall clock, after which ctimes do not show which file is newer. `wallOffset`:
   * CLOCK_REALTIME - CLOCK_MONOTONIC, ns.
   */
  onClock(wallOffset: number): void {
    const before = this.wallOffset;
    this.wallOffset = wallOffset;
    if (before !== undefined && Math.abs(wallOffset - before) >= STEP_NS) this.identifyAgain();
  }

  /** Forgets what files were identified as: other files may be in their places. */
  private identifyAgain(): void {
    this.isOutdated = true;
    this.inputs.files.forget();
    this.inputs.listed.forget();
    this.inputs.schedule();
  }

  /**
   * The kernel has ended a program that the policy allows. Identifies the file at `path` again if it is an exception; otherwise
   * what is below the process's lineage is open until the next epoch. Other processes stay closed, so that a process which
   * provokes this again and again cannot open them.
   */
  onMismatch({ lineage, ancestry }: Pick<Process, "lineage" | "ancestry">, path: string | undefined): void {
    const above = ancestry ?? lineage;
    const isOfFile = path !== undefined && this.inputs.files.correct(path);
    if (isOfFile || this.sets.misjudge(above)) this.inputs.schedule();
  }

  private askWanted(): void {
    this.inputs.files.askWanted();
    this.inputs.listed.askWanted();
  }

  /** What a process may execute, and by which rule; undefined where nothing is prevented. */
  closingsOf(process: Process): { readonly own: Closing; readonly child: Closing } | undefined {
    return this.compiler === undefined ? undefined : this.sets.closingsOf(process, this.compiler);
  }

  /** How many processes are closed now, and what they run. */
  summary(): ClosedSummary {
    return summarizeClosed(this.closedNow());
  }

  private *closedNow(): Iterable<ClosedNow> {
    const acts = this.compiler !== undefined && this.actsSince !== Number.POSITIVE_INFINITY;
    for (const process of acts ? this.inputs.processes() : []) {
      const sets = this.sets.get(process);
      if (sets === undefined || sets === openSets) continue;
      yield { path: process.lineage.program.path ?? "", rule: sets.rule };
    }
  }
}
