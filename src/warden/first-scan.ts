// The first scan of /proc, which takes a second where thousands of processes run. It is made in slices, between which
// events are judged with their whole lineages: what the scan has not reached yet is read when an event needs it.
import type { Differences, Remembered } from "../forest/forest.ts";
import {
  dispatch,
  type EventHandlers,
  type ProcessEvent,
  type ScannedGroup,
  type ScannedProcess,
} from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { readGroup } from "../sensor/procfs/scan.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { withoutZombies } from "./live-scan.ts";
import { SlicedScan } from "./sliced-scan.ts";
import type { Tracker } from "./tracker.ts";

/** Longer lineages than this are shortened in a tree anyway. */
const ANCESTORS = 64;

export interface FirstScanInputs {
  readonly reader: FactsReader;
  readonly tracker: Tracker;
  /** Processes as the last warden knew them. */
  readonly remembered: ReadonlyMap<number, Remembered> | undefined;
  /** Another warden of this run saw events until it ended: what it did not see is as after a loss. */
  readonly isRestart: boolean;
  /** ns, CLOCK_MONOTONIC */
  readonly time: number;
}

export class FirstScan {
  /** Number of processes that were found so far. */
  found = 0;
  private readonly inputs: FirstScanInputs;
  private readonly slices: SlicedScan;
  /** What the forest must have before the event is handled: the process that it names, and the ancestors of that. */
  private readonly handlers: EventHandlers = {
    fork: ({ parentPid }) => this.adopt(parentPid, undefined),
    exec: ({ pid, facts }) => {
      this.adopt(pid, pid);
      // If that found nothing, the process has ended, and its parent may not have.
      if (facts.parentPid !== undefined) this.adopt(facts.parentPid, undefined);
    },
    user: ({ pid }) => this.adopt(pid, undefined),
    connect: ({ pid }) => this.adopt(pid, undefined),
    send: ({ pid }) => this.adopt(pid, undefined),
    listen: ({ pid }) => this.adopt(pid, undefined),
    // What these name has ended, or they name nothing.
    exit: () => undefined,
    close: () => undefined,
    loss: () => undefined,
  };

  constructor(inputs: FirstScanInputs) {
    this.inputs = inputs;
    this.slices = new SlicedScan(inputs.reader, inputs.time);
  }

  /** Reads for a slice of time; true when every process was read. */
  readSlice(): boolean {
    return this.slices.readSlice();
  }

  /** Must be called for every event before the tracker handles it. */
  onEvent(event: ProcessEvent): void {
    this.slices.onEvent(event);
    dispatch(this.handlers, event);
  }

  /** What was read, of processes that live. */
  result(): readonly ScannedGroup[] {
    return this.slices.result((pid) => this.inputs.tracker.forest.get(pid) !== undefined);
  }

  /** Applies what was read, in steps between which events may be judged. */
  *applying(processes: readonly ScannedProcess[]): Steps<void> {
    const { tracker, remembered, time } = this.inputs;
    const steps = tracker.reconciling(processes, time, remembered);
    let step = this.asAfterRestart(() => steps.next());
    while (step.done !== true) {
      yield;
      step = steps.next();
    }
    this.found += step.value.found.length;
  }

  /** Adds the process `pid` and its ancestors as far as they are not known. */
  private adopt(pid: number, execed: number | undefined): void {
    const { reader, tracker, remembered, time } = this.inputs;
    const { forest } = tracker;
    const unknown: ScannedGroup[] = [];
    for (let next = pid; next > 0 && forest.get(next) === undefined && unknown.length < ANCESTORS; ) {
      const group = readGroup(reader, next);
      if (group === undefined) break;
      unknown.push(group);
      next = group.facts.parentPid ?? 0;
    }
    const live = withoutZombies(unknown, undefined);
    if (live.length === 0) return;
    const adopt = (): Differences => tracker.adopt(live, time, remembered, execed);
    this.found += this.asAfterRestart(adopt).found.length;
  }

  private asAfterRestart<T>(reconcile: () => T): T {
    const { forest } = this.inputs.tracker;
    const { lossTime } = forest;
    if (this.inputs.isRestart) forest.lossTime = this.inputs.time;
    const result = reconcile();
    forest.lossTime = lossTime;
    return result;
  }
}
