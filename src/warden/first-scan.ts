// The first scan of /proc, which takes a second where thousands of processes run. It is made in slices, between which
// events are judged with their whole lineages: what the scan has not reached yet is read when an event needs it.
//
// What is read then is newer than the event. A shell that has forked `mount` and has become `cron` since then would be read
// as cron, and cron would seem to have run mount. So events are held until those that follow are there as well: of a process
// with an exec among them it is not known what it ran before.
import type { Differences, Remembered } from "../forest/forest.ts";
import type { ProcessEvent, ScannedGroup, ScannedProcess } from "../sensor/event.ts";
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
  /** The forest is that of the last warden, and no event is missing. */
  readonly isContinued: boolean;
  /** ns, CLOCK_MONOTONIC */
  readonly time: number;
}

export class FirstScan {
  /** Number of processes that were found so far. */
  found = 0;
  private readonly inputs: FirstScanInputs;
  private readonly slices: SlicedScan;
  private held: ProcessEvent[] = [];
  /** Number of execs among the held events, by process. */
  private readonly execsHeld = new Map<number, number>();
  /** Processes that the events need which are handled next; undefined: it has ended. */
  private readonly read = new Map<number, ScannedGroup | undefined>();

  constructor(inputs: FirstScanInputs) {
    this.inputs = inputs;
    this.slices = new SlicedScan(inputs.reader, inputs.time);
    inputs.tracker.forest.beginScan(inputs.time);
  }

  /**
   * Whether events are to be held. Where nothing has to be read for them they are handled one by one, so that a warden that is
   * killed meanwhile leaves to the next one those that it has not handled.
   */
  get mustHold(): boolean {
    return !this.inputs.isContinued;
  }

  /** Reads for a slice of time; true when every process was read. */
  readSlice(): boolean {
    return this.slices.readSlice();
  }

  /** Takes an event, which `handleHeld` passes on. */
  hold(event: ProcessEvent): void {
    this.held.push(event);
    if (event.kind === "exec") this.countExec(event.pid, 1);
  }

  /**
   * Passes the held events on to `handle`, once the forest has what each of them needs. `drain` passes the events to `hold`
   * that have been made meanwhile; they are held until the next call.
   */
  handleHeld(drain: () => void, handle: (event: ProcessEvent) => void): void {
    const events = this.held;
    if (events.length === 0) return;
    this.held = [];
    this.readFor(events);
    drain();
    for (const event of events) {
      this.slices.onEvent(event);
      for (const pid of neededBy(event)) this.adopt(pid);
      if (event.kind === "exec") this.countExec(event.pid, -1);
      handle(event);
    }
    this.read.clear();
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

  /**
   * To be called when no event is held any more. A process that lives on and whose ancestors were unknown when it was forked
   * would be uncertain for all its life: it gets those that it has now, and is judged with them.
   */
  settleLineages(): void {
    const { reader, tracker, remembered, isRestart, time } = this.inputs;
    const { forest } = tracker;
    // Then what is uncertain is so because of what was lost.
    if (isRestart || forest.lossTime !== undefined) return;
    // Parents come before the children that they have forked.
    for (const process of [...forest.processes()]) {
      if (!process.lineage.uncertain || remembered?.has(process.pid) === true) continue;
      const group = readGroup(reader, process.pid);
      if (group !== undefined && !group.leaderEnded) tracker.relink(group, time);
    }
  }

  private countExec(pid: number, change: number): void {
    const count = (this.execsHeld.get(pid) ?? 0) + change;
    if (count > 0) this.execsHeld.set(pid, count);
    else this.execsHeld.delete(pid);
  }

  /** Reads the processes that the events need, and their ancestors, as far as the forest will not have them by then. */
  private readFor(events: readonly ProcessEvent[]): void {
    const { reader, tracker } = this.inputs;
    const forked = new Set<number>();
    for (const event of events) {
      for (const pid of neededBy(event)) {
        let next = pid;
        for (let i = 0; i < ANCESTORS && next > 0; i += 1) {
          if (forked.has(next) || this.read.has(next) || tracker.forest.get(next) !== undefined) break;
          const group = readGroup(reader, next);
          this.read.set(next, group);
          next = group?.facts.parentPid ?? 0;
        }
      }
      if (event.kind === "fork") forked.add(event.pid);
    }
  }

  /** Adds the process `pid` and its ancestors as far as they are not known. */
  private adopt(pid: number): void {
    const { tracker, remembered, time } = this.inputs;
    const { forest } = tracker;
    const unknown: ScannedGroup[] = [];
    for (let next = pid; next > 0 && forest.get(next) === undefined && unknown.length < ANCESTORS; ) {
      const group = this.read.get(next);
      if (group === undefined) break;
      unknown.push(this.execsHeld.has(next) ? { ...group, execWaits: true } : group);
      next = group.facts.parentPid ?? 0;
    }
    const live = withoutZombies(unknown, undefined);
    if (live.length === 0) return;
    const adopt = (): Differences => tracker.adopt(live, time, remembered);
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

/** What the forest must have before the event is handled: the process that it names, and the ancestors of that. */
function neededBy(event: ProcessEvent): readonly number[] {
  switch (event.kind) {
    case "fork":
      return [event.parentPid];
    case "exec": {
      // If the first is not there any more, its parent may still be.
      const { parentPid } = event.facts;
      return parentPid === undefined ? [event.pid] : [event.pid, parentPid];
    }
    case "user":
    case "connect":
    case "send":
    case "listen":
      return [event.pid];
    // What these name has ended, or they name nothing.
    case "exit":
    case "close":
    case "loss":
      return [];
  }
}
