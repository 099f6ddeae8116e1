// Has the kernel refuse what armed rules deny: each process points to a set of denied networks, which its children inherit.
//
// Everything that a decision depends on raises the epoch, and then all processes are pointed to sets again. What they
// pointed to before holds until all of them are: also those whose fork was not read yet when the last of the others was
// pointed to its set.
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";
import { type DeniableProcess, DenialCompiler, type Denials } from "../policy/denials.ts";
import type { Policy } from "../policy/policy.ts";
import type { RuleStates } from "../policy/rule-state.ts";
import type { DeniedNetwork, DenySets, NetworkDenials } from "../sensor/network/denial.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { NumberedSets } from "./numbered-sets.ts";

export interface DenialsInputs {
  readonly policy: { readonly current: Policy };
  readonly enforcement: { readonly mayAct: boolean; readonly states: RuleStates };
  readonly epoch: { readonly current: number };
  readonly processes: () => Iterable<Process>;
  /** The live processes above one, the nearest first. */
  readonly above: (process: Process) => readonly Process[];
  /** The part of the sensor in use that denies; undefined if it cannot. */
  readonly kernel: () => NetworkDenials | undefined;
  readonly subjectOf: (process: Process) => DeniableProcess;
  /** Whether it is a process of treewarden's own, which is denied nothing, as it is never killed. */
  readonly isSpared: (process: Process) => boolean;
}

/** The kernel denies nothing any more 15 s after the last beat. */
const BEAT_NS = 2e9;
/** Different sets in one epoch: a policy has a few, by what its rules concern. */
const SETS = 256;
/** Answers that are remembered. Tables take milliseconds, and are made once for all processes that answer alike. */
const ANSWERS = 4_096;
/**
 * How often events are read before what was inherited from an earlier epoch becomes void. A process whose fork was not
 * read may have forked another meanwhile: of the second reading hardly any is left.
 */
const CATCH_UPS = 16;
const nothing: DenySets = { set: 0, afterExec: 0 };
/** There is no room in the kernel for what a process is denied. */
const noRoom = "no room";
type Answer = DenySets | typeof noRoom;

export class DenialsInForce {
  /** Why the kernel does not deny all that it could, or refuses more. */
  problem: string | undefined;
  /** Handles every event that the kernel has made so far; set by the loop that does. */
  catchUp: () => void = () => undefined;
  private readonly inputs: DenialsInputs;
  private compiler: DenialCompiler | undefined;
  private kernel: NetworkDenials | undefined;
  private beatAt = 0;
  /** `NetworkDenials.full` when every process was last pointed to its set. */
  private fullBefore = 0;
  /** Those of this epoch. */
  private readonly sets = new NumberedSets(SETS);
  /** By the answers of a process to what rules ask of it. Invalidated by: another epoch, for which there is another compiler. */
  private ofAnswers = new Map<string, Answer>();
  /** Where rules ask for nothing but the lineage. Invalidated by: another epoch, for which there is another compiler. */
  private ofLineages = new WeakMap<Lineage, Answer>();
  /** What each process was pointed to last. Invalidated by: another epoch. */
  private assigned = new WeakMap<Process, DenySets>();
  /** The epoch of what is above. */
  private epoch: number | undefined;

  constructor(inputs: DenialsInputs) {
    this.inputs = inputs;
  }

  /** Points every process to what it is denied now, one at a step, and then makes void what was before. */
  *applying(): Steps<void> {
    const { policy, enforcement, epoch, processes } = this.inputs;
    const kernel = this.inputs.kernel();
    const all = this.sets.takeAll();
    const before = kernel === this.kernel ? all : [];
    const hadNothing = before.length === 0 && kernel?.isInherited !== true;
    this.kernel = kernel;
    // Invalidated by: this, for each epoch.
    this.ofAnswers = new Map();
    this.ofLineages = new WeakMap();
    this.assigned = new WeakMap();
    this.epoch = epoch.current;
    this.problem = undefined;
    this.compiler = undefined;
    if (kernel === undefined) return;
    const compiler = new DenialCompiler(policy.current, enforcement.states);
    if (enforcement.mayAct && !compiler.isEmpty) this.compiler = compiler;
    else if (hadNothing) return;
    kernel.setEpoch(epoch.current);
    kernel.beat();
    this.fullBefore = kernel.full;
    if (this.compiler !== undefined) {
      kernel.check();
      for (const process of [...processes()]) {
        this.assign(process);
        yield;
        // Another sensor, or none: its own turn follows.
        if (this.inputs.kernel() !== kernel) return;
      }
      yield* this.catchingUp(kernel);
      if (this.inputs.kernel() !== kernel) return;
    }
    kernel.enforceEpoch();
    for (const set of before) kernel.remove(set);
    this.problem ??= kernel.problem;
  }

  /**
   * Points the processes to sets whose forks were not read yet, until none of them has an entry of an earlier epoch. Whoever
   * is forked by a process with an entry of this epoch inherits that.
   */
  private *catchingUp(kernel: NetworkDenials): Steps<void> {
    for (let turn = 0; turn < CATCH_UPS; turn += 1) {
      const before = kernel.renewed;
      // A fork that has inherited an earlier entry is in the ring then.
      kernel.awaitPrograms();
      this.catchUp();
      if (this.inputs.kernel() !== kernel || kernel.renewed === before) return;
      yield;
    }
  }

  /** Nanoseconds until `work` is due; undefined while nothing is denied. */
  dueIn(now: number): number | undefined {
    return this.compiler === undefined ? undefined : Math.max(0, this.beatAt + BEAT_NS - now);
  }

  /** To be called at each turn of the loop; `now`: ns, CLOCK_MONOTONIC. */
  work(now: number): void {
    if (this.dueIn(now) !== 0) return;
    this.beatAt = now;
    const { kernel } = this;
    if (kernel === undefined) return;
    kernel.beat();
    if (kernel.full > this.fullBefore)
      this.problem ??=
        "the kernel had no room for what children inherit: some were denied nothing on the network at first";
  }

  /** Points a process that was forked or has executed a program to what it is denied. */
  assign(process: Process): void {
    const { compiler, kernel } = this;
    if (compiler === undefined || kernel === undefined || process.kernelThread || process.pid === 1) return;
    const sets = this.setsOf(process, compiler, kernel);
    if (kernel.assign(process, sets)) this.assigned.set(process, sets);
    else this.problem ??= "the kernel has no room for what more processes are denied on the network";
  }

  /**
   * Whether the kernel denies a process that has executed a program all that it should before `assign`: what it inherited
   * or had is what it is denied now. Only then need such an exec not be read at once.
   */
  isInherited(process: Process): boolean {
    const { compiler, kernel } = this;
    if (this.epoch !== this.inputs.epoch.current) return false;
    if (compiler === undefined || kernel === undefined) return true;
    const { afterExec } = this.assigned.get(process) ?? nothing;
    const sets = this.setsOf(process, compiler, kernel);
    return sets.set === afterExec && sets.afterExec === afterExec;
  }

  private setsOf(process: Process, compiler: DenialCompiler, kernel: NetworkDenials): DenySets {
    const sets = this.sharedSetsOf(process, compiler, kernel);
    if (sets === nothing || this.inputs.isSpared(process)) return nothing;
    return sets === noRoom ? this.keptSetsOf(process) : sets;
  }

  /**
   * For a process for which there is no room: what it, or the nearest process above it, is denied whatever it executes. So
   * nobody is rid of a denial by having the kernel's room filled with the sets of ever new lineages.
   */
  private keptSetsOf(process: Process): DenySets {
    const kept = this.assigned.get(process) ?? this.assignedAbove(process);
    return kept === undefined ? nothing : { set: kept.afterExec, afterExec: kept.afterExec };
  }

  private assignedAbove(process: Process): DenySets | undefined {
    const parent = this.inputs.above(process).find((each) => this.assigned.has(each));
    return parent === undefined ? undefined : this.assigned.get(parent);
  }

  private sharedSetsOf(process: Process, compiler: DenialCompiler, kernel: NetworkDenials): Answer {
    const { lineage } = process;
    const ofLineage = compiler.isOfLineage ? this.ofLineages.get(lineage) : undefined;
    if (ofLineage !== undefined) return ofLineage;
    const subject = this.inputs.subjectOf(process);
    const key = compiler.keyOf(subject);
    let sets = this.ofAnswers.get(key);
    if (sets === undefined) {
      sets = this.defined(compiler.denialsOf(subject), kernel);
      if (this.ofAnswers.size >= ANSWERS) this.ofAnswers.clear();
      this.ofAnswers.set(key, sets);
    }
    if (compiler.isOfLineage) this.ofLineages.set(lineage, sets);
    return sets;
  }

  private defined({ program, afterExec }: Denials, kernel: NetworkDenials): Answer {
    const set = this.numberOf(program, kernel);
    const later = this.numberOf(afterExec, kernel);
    if (set === undefined || later === undefined) return noRoom;
    return set === 0 && later === 0 ? nothing : { set, afterExec: later };
  }

  /** The number of the set with this content: 0 if it is empty, undefined if there is no room for it. */
  private numberOf(networks: readonly DeniedNetwork[], kernel: NetworkDenials): number | undefined {
    if (networks.length === 0) return 0;
    const number = this.sets.numberOf(
      JSON.stringify(networks),
      (set) => {
        kernel.define(set, networks);
        // It finds more at the first denial.
        this.problem ??= kernel.problem;
      },
      (why) => {
        this.problem ??= `the kernel has no room for the networks that rules deny: ${why}`;
      },
    );
    return number === 0 ? undefined : number;
  }
}
