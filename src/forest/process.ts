// One live process, as the forest keeps it.

import type { Lineage, Program } from "./lineage.ts";
import { TreeNode } from "./process-tree.ts";

/** One live process. What it was when it forked is in the lineages of its children and does not change with it. */
export class Process<I extends Program> {
  readonly pid: number;
  /** Clock ticks since boot; with the pid it is the process's identity. */
  startTicks: number;
  /** The exact value is known, from /proc or from a source that has it. */
  startExact: boolean;
  /** Nanoseconds, CLOCK_MONOTONIC: of its fork, else as exact as its start ticks. */
  readonly startTime: number;
  /** With itself as the leaf. */
  lineage: Lineage<I>;
  /** Its parent as it was when it forked this process; null: none is known. */
  ancestry: Lineage<I> | null;
  /** It has run an exec of its own; before that it is a copy of its parent. */
  execed: boolean;
  /** A kernel thread; a program that the kernel starts is one until its exec. */
  kernelThread: boolean;
  /** Its link to its parent is the word of /proc: no event told of it. */
  linkGuessed = false;
  /** The process that forked it (not the reaper of an orphan); 0 if not known. */
  readonly parentPid: number;
  /** For the rooms to the right, one of them (the warden): what it counts for this process. */
  mark: unknown = undefined;

  /** @internal */ readonly kin: TreeNode<Process<I>>;

  /** @internal made by Forest only */
  constructor(
    pid: number,
    start: Start,
    lineage: Lineage<I>,
    ancestry: Lineage<I> | null,
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
    this.kin = new TreeNode<Process<I>>(this);
  }
}

/** As a fork event tells it. */
export interface Start {
  readonly startTicks: number;
  readonly startExact: boolean;
  readonly time: number;
}
