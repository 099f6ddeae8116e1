// Which sets of files a process is closed by: judged once for each kind of process, less what treewarden spares.
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";
import type { Closing, ClosingCompiler } from "../policy/closing.ts";
import type { ClosableProcess } from "../policy/hypothetical-exec.ts";
import type { Prevention } from "../sensor/prevention/closed-set.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { type ClosedSetMaker, type JudgedSets, openSets } from "./closed-set-maker.ts";
import { JudgedKinds, judgedKindOf } from "./judged-kinds.ts";

export interface ProcessSetsInputs {
  readonly subjectOf: (process: Process) => ClosableProcess["subject"];
  /** Whether the process is never closed (true); "own": its children may be, but what it executes in its own place may not. */
  readonly isOpen: (process: Process) => boolean | "own";
}

export class ProcessSets {
  private readonly inputs: ProcessSetsInputs;
  private readonly maker: ClosedSetMaker;
  private readonly kinds = new JudgedKinds();
  /** Lineages below which a mismatch was not due to a file: processes below them stay open. Invalidated by: another epoch. */
  private misjudged = new WeakSet<Lineage>();

  constructor(inputs: ProcessSetsInputs, maker: ClosedSetMaker) {
    this.inputs = inputs;
    this.maker = maker;
  }

  /** Forgets what was judged. */
  forget(): void {
    this.kinds.forget();
  }

  /** Forgets which lineages were misjudged: another epoch has begun. */
  forgetMisjudged(): void {
    this.misjudged = new WeakSet();
  }

  /** Leaves what is below the lineage open, once it is judged again. False if it was misjudged before. */
  misjudge(lineage: Lineage): boolean {
    if (this.misjudged.has(lineage)) return false;
    this.misjudged.add(lineage);
    return true;
  }

  /** The sets of the process: those of its kind, less what treewarden spares. undefined: its kind was not judged yet. */
  get(process: Process): JudgedSets | undefined {
    const isOpen = this.isOpen(process);
    if (isOpen === true) return openSets;
    const sets = this.kinds.get(judgedKindOf(process));
    if (isOpen === false || sets === undefined || sets.own === 0) return sets;
    return sets.child === 0 ? openSets : { ...sets, own: 0 };
  }

  /** Judges the kind of the process as it is now, if it was not judged yet; one of its exceptions at a step. */
  *judging(process: Process, compiler: ClosingCompiler, kernel: Prevention): Steps<void> {
    if (this.get(process) !== undefined) return;
    const { lineage, ancestry } = process;
    const kind = judgedKindOf(process);
    const judged = yield* this.maker.setsOf(this.closableOf(process), compiler, kernel);
    const own = this.misjudged.has(ancestry ?? lineage) ? 0 : judged.own;
    const child = this.misjudged.has(lineage) ? 0 : judged.child;
    this.kinds.set(kind, own === 0 && child === 0 ? openSets : { own, child, rule: judged.rule });
  }

  /** What the process may execute, and by which rule. */
  closingsOf(
    process: Process,
    compiler: ClosingCompiler,
  ): { readonly own: Closing; readonly child: Closing } {
    const isOpen = this.isOpen(process);
    const spared: Closing = { closed: false, why: "treewarden spares it" };
    const closable = this.closableOf(process);
    return {
      own: isOpen === false ? compiler.closingOf(closable, "own") : spared,
      child: isOpen === true ? spared : compiler.closingOf(closable, "child"),
    };
  }

  private isOpen(process: Process): boolean | "own" {
    return process.pid === 1 || process.kernelThread || this.inputs.isOpen(process);
  }

  private closableOf(process: Process): ClosableProcess {
    const { lineage, ancestry, execed, linkGuessed } = process;
    return { executor: { lineage, ancestry, execed, linkGuessed }, subject: this.inputs.subjectOf(process) };
  }
}
