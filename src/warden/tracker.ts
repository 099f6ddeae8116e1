// Feeds events into the forest and derives trees from it, for both the warden and `trace`.

import type { Runnable } from "../fingerprint/runnable.ts";
import { programNames } from "../fingerprint/title.ts";
import { type Tree, treeOf } from "../fingerprint/tree.ts";
import { type Differences, Forest, type Remembered } from "../forest/forest.ts";
import { restoreSnapshot } from "../forest/forest-snapshot.ts";
import type { Process } from "../forest/process.ts";
import type { Counter, Gauge, Totals } from "../report/totals.ts";
import { OVERFLOW_TREE, TreeHandle, type TreeTotals } from "../report/tree-totals.ts";
import {
  type CloseEvent,
  dispatch,
  type EventHandlers,
  type ExecEvent,
  type ExitEvent,
  type ForkEvent,
  type LossEvent,
  type NetworkEvent,
  type ProcessEvent,
  type ProcessFacts,
  type ScannedProcess,
  type SensorSource,
} from "../sensor/event.ts";
import { countedKinds, type SensorKind } from "../vocabulary/event-kinds.ts";
import { startsAt } from "../vocabulary/process-key.ts";
import { allSteps, type Steps } from "../vocabulary/steps.ts";

/** A running program, reported by an event or found by a scan. */
export interface Execution {
  readonly process: Process;
  readonly facts: ProcessFacts;
  readonly tree: Tree;
  readonly source: SensorSource;
  /** ns, CLOCK_MONOTONIC */
  readonly time: number;
  /** The sensor's event; undefined if a scan found the process. */
  readonly event: ExecEvent | undefined;
}

/** A process uses the network. */
export interface NetworkActivity {
  readonly process: Process;
  readonly tree: Tree;
  readonly event: NetworkEvent;
}

/** The listener of the tracker. Changes of users only concern the forest. */
export interface TrackerListener {
  onFork(child: Process): void;
  onExec(exec: Execution): void;
  onExit(process: Process, tree: Tree, event: ExitEvent): void;
  /** A scan has shown that a process has ended, whose exit was lost. Absent where nothing is kept of processes. */
  onMissedExit?(process: Process): void;
  onNetwork(activity: NetworkActivity): void;
  onClose(event: CloseEvent): void;
  onLoss(event: LossEvent): void;
}

export interface TrackerInputs {
  readonly identify: (facts: ProcessFacts) => Runnable;
  readonly totals: Totals;
  readonly trees: TreeTotals;
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns. */
  readonly suspendedNs: number;
  /** Whether the tree is in the baseline in force, so that its series stay. */
  readonly isKnown: (tree: Tree) => boolean;
}

export class Tracker {
  readonly forest: Forest;
  private readonly inputs: TrackerInputs;
  private readonly listener: TrackerListener;
  private readonly counters: Partial<Record<SensorKind, Counter>> = {};
  private readonly handlers: EventHandlers;
  /** For events that another warden has handled: those that change the forest. */
  private readonly repeating: EventHandlers = {
    fork: (event) => {
      const child = this.forest.fork(event);
      if (child !== undefined) this.started(child);
    },
    exec: (event) => {
      const process = this.forest.exec(event);
      if (process !== undefined) this.count(process, treeOf(process.lineage));
    },
    user: (event) => void this.forest.user(event),
    exit: (event) => {
      const process = this.forest.exit(event);
      if (process !== undefined) this.ended(process, undefined);
    },
    connect: () => undefined,
    send: () => undefined,
    listen: () => undefined,
    close: () => undefined,
    loss: () => undefined,
  };
  private readonly lastEvent: Gauge;
  /** ns, CLOCK_MONOTONIC; 0 before the first event. */
  lastEventTime = 0;

  constructor(inputs: TrackerInputs, listener: TrackerListener) {
    this.inputs = inputs;
    this.listener = listener;
    const { totals } = inputs;
    for (const kind of countedKinds) this.counters[kind] = totals.counter("events", { event: kind });
    this.handlers = {
      fork: (event) => this.onFork(event),
      exec: (event) => this.onExec(event),
      user: (event) => void this.forest.user(event),
      exit: (event) => this.onExit(event),
      connect: (event) => this.onNetwork(event),
      send: (event) => this.onNetwork(event),
      listen: (event) => this.onNetwork(event),
      close: (event) => this.listener.onClose(event),
      loss: (event) => this.lost(event),
    };
    this.lastEvent = totals.gauge("lastEvent", {});
    this.forest = new Forest({
      ...programNames(inputs.identify),
      missedExit: (process) => this.missedExit(process),
    });
    this.forest.suspendedNs = inputs.suspendedNs;
  }

  handle(event: ProcessEvent): void {
    this.lastEventTime = event.time;
    this.counters[event.kind]?.add(1);
    dispatch(this.handlers, event);
  }

  /** Events were lost: links are uncertain until a scan that begins later has been applied. */
  lost(event: LossEvent): void {
    if (event.reason !== "network") this.forest.lost(event.time);
    this.listener.onLoss(event);
  }

  private onFork(event: ForkEvent): void {
    const child = this.forest.fork(event);
    if (child === undefined) return;
    this.started(child);
    this.listener.onFork(child);
  }

  private onExec(event: ExecEvent): void {
    const process = this.forest.exec(event);
    if (process !== undefined) this.runs(process, event.facts, event.source, event.time, event);
    else this.inputs.totals.counter("execsUnattributed", { reason: "tree" }).add(1);
  }

  private onExit(event: ExitEvent): void {
    const process = this.forest.exit(event);
    if (process === undefined) return;
    this.ended(process, Math.max(0, event.time - process.startTime) / 1e9);
    this.listener.onExit(process, treeOf(process.lineage), event);
  }

  private onNetwork(event: NetworkEvent): void {
    const process = this.forest.get(event.pid);
    const isSame =
      process !== undefined && (event.startTicks === undefined || startsAt(process, event.startTicks));
    if (isSame) this.listener.onNetwork({ process, tree: treeOf(process.lineage), event });
    else this.inputs.totals.counter("connectionsUnattributed", { event: event.kind }).add(1);
  }

  /** Updates the gauge of the last event. `wallOffset`: CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
  publishLastEvent(wallOffset: number): void {
    if (this.lastEventTime > 0) this.lastEvent.set((this.lastEventTime + wallOffset) / 1e9);
  }

  /**
   * Applies a scan that began at `time`. Processes that it found and that are not remembered from the last run are
   * reported as execs with the source `procfs`. Processes that it did not find are left to `forget`.
   */
  reconcile(
    scan: readonly ScannedProcess[],
    time: number,
    remembered?: ReadonlyMap<number, Remembered>,
  ): Differences {
    return allSteps(this.reconciling(scan, time, remembered));
  }

  /** As `reconcile`; the first step changes the forest, each further one reports an exec. */
  *reconciling(
    scan: readonly ScannedProcess[],
    time: number,
    remembered?: ReadonlyMap<number, Remembered>,
  ): Steps<Differences> {
    const differences = this.forest.reconcile(scan, time, remembered);
    for (const process of differences.ended) this.missedExit(process);
    for (const { process } of differences.found) this.started(process);
    const found = differences.found.filter(({ process }) => isNew(process, remembered));
    const programs = [...found, ...differences.changed].map(({ process, facts }) => ({
      process,
      facts,
      program: process.lineage.program,
    }));
    for (const { process, facts, program } of programs) {
      yield;
      // Since the step before, events may have ended it, or reported another exec.
      if (this.forest.get(process.pid) === process && process.lineage.program === program)
        this.runs(process, facts, "procfs", time);
    }
    return differences;
  }

  /**
   * Adds processes that a scan which began at `time` has not reached yet, because an event names one of them. They are
   * reported as by `reconcile`, except those of which an exec waits: that reports them.
   */
  adopt(
    scan: readonly ScannedProcess[],
    time: number,
    remembered: ReadonlyMap<number, Remembered> | undefined,
  ): Differences {
    const waiting = new Set<number>();
    for (const { pid, execWaits } of scan) if (execWaits === true) waiting.add(pid);
    const differences = this.forest.reconcile(scan, time, remembered);
    for (const process of differences.ended) this.missedExit(process);
    for (const { process } of differences.found) this.started(process);
    for (const { process, facts } of differences.found)
      if (!waiting.has(process.pid) && isNew(process, remembered)) this.runs(process, facts, "procfs", time);
    return differences;
  }

  /** See `Forest.relink`; reported as what a scan finds that began at `time`. */
  relink(scanned: ScannedProcess, time: number): void {
    const process = this.forest.relink(scanned);
    if (process !== undefined) this.runs(process, scanned.facts, "procfs", time);
  }

  /** Fills the empty forest with what another warden has left, see `snapshotForest`. Throws if it is inconsistent. */
  restore(snapshot: string, decode: (program: unknown) => Runnable): void {
    restoreSnapshot(this.forest, snapshot, decode);
    this.countRestored();
  }

  /** To be called when the forest was filled without events. */
  countRestored(): void {
    for (const process of this.forest.processes()) this.started(process);
  }

  /** Applies an event that another warden has handled: it changes the forest, and is neither counted nor judged again. */
  repeat(event: ProcessEvent): void {
    this.lastEventTime = event.time;
    dispatch(this.repeating, event);
  }

  /** Ends the processes that a scan did not find and for which no exit event has arrived since. */
  forget(missing: readonly Process[]): readonly Process[] {
    const forgotten = this.forest.forget(missing);
    for (const process of forgotten) this.missedExit(process);
    return forgotten;
  }

  private missedExit(process: Process): void {
    this.ended(process, undefined);
    this.listener.onMissedExit?.(process);
  }

  private runs(
    process: Process,
    facts: ProcessFacts,
    source: SensorSource,
    time: number,
    event?: ExecEvent,
  ): void {
    const tree = treeOf(process.lineage);
    // First what may have to be killed, then the metrics.
    this.listener.onExec({ process, facts, tree, source, time, event });
    this.count(process, tree);
    if (source !== "procfs") this.countAttribution(process, facts);
  }

  private started(process: Process): void {
    this.count(process, treeOf(process.lineage));
  }

  private count(process: Process, tree: Tree): void {
    // Pid 1 is in no tree.
    if (tree.labels.length === 0) return;
    const known = this.inputs.isKnown(tree);
    const previous = handleOf(process);
    const { trees } = this.inputs;
    // One user's flood of names must not take the series of the others' new trees.
    const path = tree.unscored && !known ? OVERFLOW_TREE : tree.path;
    const { uid } = process.lineage;
    const handle =
      previous === undefined ? trees.started(path, known, uid) : trees.moved(previous, path, known, uid);
    if (handle !== previous) process.countedAs = handle;
  }

  private ended(process: Process, seconds: number | undefined): void {
    const handle = handleOf(process);
    if (handle === undefined) return;
    process.countedAs = undefined;
    this.inputs.trees.ended(handle, seconds);
  }

  private countAttribution(process: Process, facts: ProcessFacts): void {
    const missing =
      facts.executable === undefined
        ? "executable"
        : facts.args === undefined
          ? "arguments"
          : facts.uid === undefined
            ? "ids"
            : process.ancestry === null && process.pid !== 1
              ? "tree"
              : undefined;
    if (missing !== undefined) this.inputs.totals.counter("execsUnattributed", { reason: missing }).add(1);
  }
}

function handleOf(process: Process): TreeHandle | undefined {
  return process.countedAs instanceof TreeHandle ? process.countedAs : undefined;
}

/** Whether the program of a process that a scan found was not known to the last warden. */
function isNew(process: Process, remembered: ReadonlyMap<number, Remembered> | undefined): boolean {
  return !process.kernelThread && remembered?.get(process.pid)?.lineage !== process.lineage;
}
