// One live process as the forest keeps it.

import type { ProcessKey } from "../vocabulary/process-key.ts";
import { type LastingFacts, unknownLastingFacts } from "./lasting-facts.ts";
import type { Lineage } from "./lineage.ts";
import { TreeNode } from "./process-tree.ts";

/** One live process. Its children's lineages keep its state at the time of the fork and do not change with it. */
export class Process implements ProcessKey {
  readonly pid: number;
  /** An estimate until the kernel's own value is known; then `startExact` is set. */
  startTicks: number;
  startExact: boolean;
  /** Time of its fork in nanoseconds, CLOCK_MONOTONIC. Only as exact as the start ticks if the fork was missed. */
  readonly startTime: number;
  /** Its lineage, with itself as the leaf. */
  lineage: Lineage;
  /** The lineage of its parent at the time of the fork; null if the parent is not known. */
  ancestry: Lineage | null;
  /** It has executed a program itself; before that it is a copy of its parent. */
  execed: boolean;
  /** A kernel thread. A user-mode helper that the kernel starts counts as one until its exec. */
  kernelThread: boolean;
  /** Its parent comes from /proc, not from a fork event. */
  linkGuessed = false;
  /** The process that forked it (not the reaper of an orphan); 0 if not known. */
  readonly parentPid: number;
  /** Of its last exec, or else its parent's. */
  facts: LastingFacts = unknownLastingFacts;
  /** The sensor's number of the program that it runs, see `ExecEvent.execId`; undefined if that is not known. */
  execId: number | undefined = undefined;
  /** Set by the warden from the start of the process to its end. */
  countedAs: ProcessCount | undefined = undefined;

  /** @internal */ readonly node: TreeNode<Process>;

  /** @internal Only Forest creates processes. */
  constructor(
    pid: number,
    start: Start,
    lineage: Lineage,
    ancestry: Lineage | null,
    parentPid: number,
    kernelThread: boolean,
  ) {
    this.pid = pid;
    this.startTicks = start.startTicks;
    this.startExact = start.startExact;
    this.startTime = start.time;
    this.lineage = lineage;
    this.ancestry = ancestry;
    this.execed = false;
    this.kernelThread = kernelThread;
    this.parentPid = parentPid;
    this.node = new TreeNode<Process>(this);
  }

  /** Begins with what its parent had, or what it had itself in a forest that was written down. */
  takeOver({ facts, execId }: Pick<Process, "facts" | "execId">): void {
    this.facts = facts;
    this.execId = execId;
  }
}

/** The series under which a process is counted; report/tree-totals.ts extends it. */
export interface ProcessCount {
  /** Path of the tree. */
  readonly tree: string;
}

/** When a process started, as a fork event reports it. */
export interface Start extends Pick<ProcessKey, "startTicks" | "startExact"> {
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly time: number;
}
