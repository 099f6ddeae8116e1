// One live process, as the forest keeps it.

import type { ProcessKey } from "../vocabulary/process-key.ts";
import type { Lineage } from "./lineage.ts";
import { TreeNode } from "./process-tree.ts";

/** One live process. What it was when it forked is in the lineages of its children and does not change with it. */
export class Process implements ProcessKey {
  readonly pid: number;
  /** Replaced by the kernel's own value as soon as that is known (`startExact`). */
  startTicks: number;
  startExact: boolean;
  /** Nanoseconds, CLOCK_MONOTONIC: of its fork, else as exact as its start ticks. */
  readonly startTime: number;
  /** With itself as the leaf. */
  lineage: Lineage;
  /** Its parent as it was when it forked this process; null: none is known. */
  ancestry: Lineage | null;
  /** It has run an exec of its own; before that it is a copy of its parent. */
  execed: boolean;
  /** A kernel thread; a program that the kernel starts is one until its exec. */
  kernelThread: boolean;
  /** Its link to its parent is the word of /proc: no event told of it. */
  linkGuessed = false;
  /** The process that forked it (not the reaper of an orphan); 0 if not known. */
  readonly parentPid: number;
  /** Kept here by the warden, from the process's start to its end. */
  countedAs: ProcessCount | undefined = undefined;

  /** @internal */ readonly kin: TreeNode<Process>;

  /** @internal made by Forest only */
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
    this.kin = new TreeNode<Process>(this);
  }
}

/** What a process is counted under; report/tree-totals.ts has more of it. */
export interface ProcessCount {
  /** Path of the tree. */
  readonly tree: string;
}

/** When a process started, as a fork event reports it. */
export interface Start extends Pick<ProcessKey, "startTicks" | "startExact"> {
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly time: number;
}
