// Has the kernel refuse what armed rules deny: each process points to a set of denied networks, which its children inherit.
//
// Everything that a decision depends on raises the epoch, and then all processes are pointed to sets again. What they
// pointed to before holds until all of them are.
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";
import { SystemCallError } from "../linux/libc.ts";
import { type DeniableProcess, DenialCompiler, type Denials } from "../policy/denials.ts";
import type { Policy } from "../policy/policy.ts";
import type { RuleStates } from "../policy/rule-state.ts";
import type { DeniedNetwork, DenySets, NetworkDenials } from "../sensor/network/denial.ts";
import type { Steps } from "../vocabulary/steps.ts";

export interface DenialsInputs {
  readonly policy: { readonly current: Policy };
  readonly enforcement: { readonly mayAct: boolean; readonly states: RuleStates };
  readonly epoch: { readonly current: number };
  readonly processes: () => Iterable<Process>;
  /** The part of the sensor in use that denies; undefined if it cannot. */
  readonly kernel: () => NetworkDenials | undefined;
  readonly subjectOf: (process: Process) => DeniableProcess;
}

/** Different sets in one epoch: a policy has a few, by what its rules concern. */
const SETS = 256;
const nothing: DenySets = { set: 0, afterExec: 0 };

export class DenialsInForce {
  /** Why the kernel does not deny all that it could. */
  problem: string | undefined;
  private readonly inputs: DenialsInputs;
  private compiler: DenialCompiler | undefined;
  private kernel: NetworkDenials | undefined;
  /** The number of each set of this epoch, by its content. */
  private sets = new Map<string, number>();
  private nextSet = 1;
  /** By lineage and what else rules ask for. Invalidated by: another epoch, for which there is another compiler. */
  private ofLineages = new WeakMap<Lineage, Map<string, DenySets>>();
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
    const before = kernel === this.kernel ? [...this.sets.values()] : [];
    const hadNothing = before.length === 0;
    this.kernel = kernel;
    this.sets = new Map();
    // Invalidated by: this, for each epoch.
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
    if (this.compiler !== undefined) {
      for (const process of [...processes()]) {
        this.assign(process);
        yield;
      }
    }
    kernel.enforceEpoch();
    for (const set of before) kernel.remove(set);
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
    const subject = this.inputs.subjectOf(process);
    const key = compiler.keyOf(subject);
    const { lineage } = process;
    let ofLineage = this.ofLineages.get(lineage);
    if (ofLineage === undefined) {
      ofLineage = new Map();
      this.ofLineages.set(lineage, ofLineage);
    }
    let sets = ofLineage.get(key);
    if (sets === undefined) {
      sets = this.defined(compiler.denialsOf(subject), kernel);
      ofLineage.set(key, sets);
    }
    return sets;
  }

  private defined({ program, afterExec }: Denials, kernel: NetworkDenials): DenySets {
    const set = this.numberOf(program, kernel);
    const later = this.numberOf(afterExec, kernel);
    return set === 0 && later === 0 ? nothing : { set, afterExec: later };
  }

  /** The number of the set with this content; 0 if it is empty, or if there is no room for it. */
  private numberOf(networks: readonly DeniedNetwork[], kernel: NetworkDenials): number {
    if (networks.length === 0) return 0;
    const content = JSON.stringify(networks);
    const known = this.sets.get(content);
    if (known !== undefined) return known;
    if (this.sets.size >= SETS) {
      this.problem ??= `more than ${SETS} kinds of processes are denied different networks`;
      return 0;
    }
    const set = this.nextSet;
    this.nextSet += 1;
    try {
      kernel.define(set, networks);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.problem ??= `the kernel has no room for the networks that rules deny: ${error.message}`;
      return 0;
    }
    this.sets.set(content, set);
    return set;
  }
}
