// Trees that were stopped for forensics: which processes belong to each, and how many trees there may be.
import type { Process } from "../forest/process.ts";
import type { ProcessKey } from "../vocabulary/process-key.ts";
import { type Payer, Shares } from "../vocabulary/shares.ts";

/** The most stopped trees at a time, as stopped processes keep their memory. A user other than root can have half of them. */
export const MAX_STOPPED_TREES = 32;

/** A tree that was stopped, and has not been released or killed. */
export interface StoppedTree {
  /** The process whose verdict it was. It may have ended since. */
  readonly root: ProcessKey;
  /** ROLE/RULE of the verdict. */
  readonly rule: string;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly since: number;
  readonly payers: readonly Payer[];
  /** It is killed as soon as evidence was taken. */
  readonly dies: boolean;
  /** Its live processes, parents before children that were forked later. */
  readonly members: Set<Process>;
  /** How often somebody has continued one of its processes, for example by SIGCONT. */
  continued: number;
}

export class StoppedTrees {
  private readonly trees = new Set<StoppedTree>();
  private readonly byProcess = new Map<Process, StoppedTree>();
  private readonly shares = new Shares(MAX_STOPPED_TREES, MAX_STOPPED_TREES / 2);
  /** Called after a process has joined or left a tree. */
  onChange: () => void = () => undefined;

  get size(): number {
    return this.trees.size;
  }

  [Symbol.iterator](): IterableIterator<StoppedTree> {
    return this.trees.values();
  }

  /** Begins a tree without members. undefined if there are too many already, on the host or of one of `payers`. */
  begin(tree: Pick<StoppedTree, "root" | "rule" | "since" | "payers" | "dies">): StoppedTree | undefined {
    if (!this.shares.take(tree.payers)) return undefined;
    const { pid, startTicks, startExact } = tree.root;
    const begun = {
      ...tree,
      root: { pid, startTicks, startExact },
      members: new Set<Process>(),
      continued: 0,
    };
    this.trees.add(begun);
    return begun;
  }

  /** Adds a process to a tree. */
  add(tree: StoppedTree, process: Process): void {
    tree.members.add(process);
    this.byProcess.set(process, tree);
    this.onChange();
  }

  /** The tree that the process belongs to; undefined if it was not stopped. */
  treeOf(process: Process): StoppedTree | undefined {
    return this.byProcess.get(process);
  }

  /** A process has ended. A tree ends with its last process. */
  exited(process: Process): void {
    const tree = this.byProcess.get(process);
    if (tree === undefined) return;
    this.byProcess.delete(process);
    tree.members.delete(process);
    if (tree.members.size === 0) this.remove(tree);
    this.onChange();
  }

  /** Removes a tree that was released or killed. */
  end(tree: StoppedTree): void {
    for (const process of tree.members) this.byProcess.delete(process);
    this.remove(tree);
    this.onChange();
  }

  private remove(tree: StoppedTree): void {
    if (this.trees.delete(tree)) this.shares.giveBack(tree.payers);
  }
}
