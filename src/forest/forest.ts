// The live processes of the host and what each of them descends from, kept true by events.
//
// Two structures: `Lineages` (shared nodes: names, users, containers; what trees are made of) and kinship (who was
// forked by whom, so that everything under a process can be found). A process that ends stays in the kinship only
// while it joins two or more branches that live, so its size is bounded by the number of live processes.

import { containerOf } from "../linux/cgroup-names.ts";
import { bootTicks, NS_PER_TICK } from "../linux/ticks.ts";
import {
  type ExecEvent,
  type ExitEvent,
  type ForkEvent,
  type ProcessFacts,
  type ScannedProcess,
  type UserEvent,
  unknownFacts,
} from "../sensor/event.ts";
import { isSameProcess, type ProcessKey, START_SLACK_TICKS, startsAt } from "../vocabulary/process-key.ts";
import { EARLIER_LIMIT, type Lineage, Lineages } from "./lineage.ts";
import { Process, type Start } from "./process.ts";
import { ProcessTree } from "./process-tree.ts";
import type { Runnable } from "./runnable.ts";

/** What most processes have: made once, not at every exec. */
const noneEarlier: readonly never[] = [];

/** What the forest needs from outside. */
export interface ForestInputs {
  /** What a process runs, from its facts. */
  readonly identify: (facts: ProcessFacts) => Runnable;
  /** The program of every kernel thread. */
  readonly kernelProgram: Runnable;
  /** A process has ended and no event told of it: its pid was given to another one. */
  readonly missedExit: (process: Process) => void;
}

export interface Differences {
  /** Processes that a scan found and no event had told of. */
  readonly found: readonly FoundProcess[];
  /** Processes that were known and whose pid is another's by now. */
  readonly ended: readonly Process[];
  /** Processes that are known and were not found: `forget` them when no event from before the scan is left. */
  readonly missing: readonly Process[];
  /** Processes that run something else than was known: an exec was missed. */
  readonly changed: readonly FoundProcess[];
}

export interface FoundProcess {
  readonly process: Process;
  readonly facts: ProcessFacts;
}

/** A process of the last run of the same boot, with its lineages. */
export interface Remembered extends ProcessKey {
  readonly lineage: Lineage;
  readonly ancestry: Lineage | null;
  readonly execed: boolean;
  readonly linkGuessed: boolean;
}

export class Forest {
  readonly lineages = new Lineages();
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC in ns; grows when the machine was suspended. To be set before events are handed in. */
  suspendedNs = 0;
  private readonly live = new Map<number, Process>();
  private readonly inputs: ForestInputs;
  private readonly kinship = new ProcessTree<Process>();

  constructor(inputs: ForestInputs) {
    this.inputs = inputs;
  }

  /** Live processes. */
  get size(): number {
    return this.live.size;
  }

  /** Places kept for processes that have ended: fewer than live ones. */
  get endedKept(): number {
    return this.kinship.tombstones;
  }

  /** The process that has `pid` now, as far as the events handed in so far can tell. */
  get(pid: number): Process | undefined {
    return this.live.get(pid);
  }

  /** The live process that `key` means; undefined if it has ended, even if another process has its pid by now. */
  find(key: ProcessKey): Process | undefined {
    const process = this.live.get(key.pid);
    return process !== undefined && isSameProcess(process, key) ? process : undefined;
  }

  processes(): IterableIterator<Process> {
    return this.live.values();
  }

  /** A process forked. Undefined if the event is older than what is known of that pid. */
  fork(event: ForkEvent): Process | undefined {
    const known = this.live.get(event.pid);
    if (known !== undefined) {
      if (known.linkGuessed && isSameProcess(known, event)) {
        this.confirmLink(known, this.live.get(event.parentPid));
        return undefined;
      }
      if (known.startTicks > event.startTicks + START_SLACK_TICKS) return undefined;
      // A pid is not given away while its owner lives.
      this.miss(known);
    }
    const parent = this.live.get(event.parentPid);
    const lineage = parent === undefined ? this.orphanLineage() : this.childLineage(parent);
    const kernel = parent?.kernelThread ?? false;
    const child = this.add(event.pid, event, lineage, parent?.lineage ?? null, event.parentPid, kernel);
    this.join(child, parent);
    return child;
  }

  /** A process runs a new program. It is made if no fork told of it. Undefined if the event is older than the process. */
  exec(event: ExecEvent): Process | undefined {
    const { facts } = event;
    let process = this.live.get(event.pid);
    if (process !== undefined && facts.startTicks !== undefined && !startsAt(process, facts.startTicks)) {
      if (process.startTicks > facts.startTicks) return undefined;
      this.miss(process);
      process = undefined;
    }
    if (process === undefined) process = this.adopt(event.pid, facts, this.ticksAt(event.time));
    if (facts.startTicks !== undefined) this.learnStart(process, facts.startTicks);
    this.setImage(process, facts, this.inputs.identify(facts));
    return process;
  }

  /** The effective user of a process changed. */
  user(event: UserEvent): Process | undefined {
    const process = this.live.get(event.pid);
    if (process === undefined || process.lineage.uid === event.uid) return undefined;
    const now = process.lineage;
    // A node that is the parent's own says nothing of this process yet: it gets one of its own below it.
    const own = process.ancestry !== now;
    this.setLineage(
      process,
      this.lineages.intern(own ? now.parent : now, {
        program: now.program,
        earlier: own ? now.earlier : [],
        uid: event.uid,
        container: now.container,
        complete: now.complete,
        init: process.pid === 1,
        elided: own ? now.elided : null,
      }),
    );
    return process;
  }

  /** A process ended. Undefined if it was not known, or the event is about an earlier owner of the pid. */
  exit(event: ExitEvent): Process | undefined {
    const process = this.live.get(event.pid);
    if (process === undefined) return undefined;
    if (process.startTicks > this.ticksAt(event.time)) return undefined;
    this.remove(process);
    return process;
  }

  /**
   * Adds to the forest what a scan of /proc, begun at `scanTime` (ns, CLOCK_MONOTONIC), has found. Processes that
   * started later than that are left alone: their events are still to come. With `forget` it then equals the scan.
   */
  reconcile(
    scan: readonly ScannedProcess[],
    scanTime: number,
    remembered?: ReadonlyMap<number, Remembered>,
  ): Differences {
    const byPid = new Map<number, ScannedProcess>();
    for (const one of scan) byPid.set(one.pid, one);
    const ended: Process[] = [];
    const missing: Process[] = [];
    const began = this.ticksAt(scanTime);
    for (const process of [...this.live.values()]) {
      const now = byPid.get(process.pid);
      const same =
        now !== undefined && (now.facts.startTicks === undefined || startsAt(process, now.facts.startTicks));
      if (same || process.startTicks >= began) continue;
      if (now === undefined) {
        missing.push(process);
        continue;
      }
      this.remove(process);
      ended.push(process);
    }
    const found: FoundProcess[] = [];
    const changed: FoundProcess[] = [];
    const visit = (one: ScannedProcess): void => {
      if (this.live.has(one.pid)) {
        const process = this.rerun(one);
        if (process !== undefined) changed.push({ process, facts: one.facts });
        return;
      }
      for (const unknown of this.unknownFrom(one, byPid)) {
        const process = this.adoptScanned(unknown, remembered?.get(unknown.pid));
        found.push({ process, facts: unknown.facts });
      }
    };
    for (const one of scan) visit(one);
    return { found, ended, missing, changed };
  }

  /**
   * Removes what a scan did not find, unless an event has told of its end since; gives what was removed. Not at the
   * scan itself: the exec of a process that has ended by then may still wait to be handed over, and would find neither
   * the process nor its tree.
   */
  forget(missing: readonly Process[]): readonly Process[] {
    const forgotten = missing.filter((process) => this.live.get(process.pid) === process);
    for (const process of forgotten) this.remove(process);
    return forgotten;
  }

  /** `one` and those above it that are not known, parents first, so that lineages are whole. */
  private unknownFrom(
    one: ScannedProcess,
    byPid: ReadonlyMap<number, ScannedProcess>,
  ): readonly ScannedProcess[] {
    // A cycle cannot be, but the pids of a scan may race into one: a set goes round it once.
    const line = new Set<ScannedProcess>();
    let next: ScannedProcess | undefined = one;
    while (next !== undefined && !line.has(next) && !this.live.has(next.pid)) {
      line.add(next);
      next = next.facts.parentPid === undefined ? undefined : byPid.get(next.facts.parentPid);
    }
    return [...line].reverse();
  }

  /** `process` and every live process that descends from it, parents before children. */
  descendants(process: Process): Process[] {
    return [...this.kinship.from(process.kin)];
  }

  /** The start of a process as /proc has it; passed over if that is of another one. */
  learnStart(process: Process, startTicks: number): void {
    if (!startsAt(process, startTicks)) return;
    process.startTicks = startTicks;
    process.startExact = true;
  }

  private ticksAt(time: number): number {
    return bootTicks(time + this.suspendedNs);
  }

  /** A child runs what its parent runs, as the same user: the same node, unless the parent is pid 1, which no tree shows. */
  private childLineage(parent: Process): Lineage {
    const { lineage } = parent;
    if (!lineage.init) return lineage;
    const { program, uid, container, complete } = lineage;
    return this.lineages.intern(lineage, {
      program,
      earlier: [],
      uid,
      container,
      complete,
      init: false,
      elided: null,
    });
  }

  /** An event has told of the fork of a process that a scan had found. */
  private confirmLink(process: Process, parent: Process | undefined): void {
    process.linkGuessed = false;
    if (process.ancestry === null || parent === undefined || !process.ancestry.complete) return;
    const { program, earlier, uid, container, elided } = process.lineage;
    const spec = { program, earlier, uid, container, complete: true, init: false, elided };
    this.setLineage(process, this.lineages.intern(process.ancestry, spec));
  }

  private miss(process: Process): void {
    this.remove(process);
    this.inputs.missedExit(process);
  }

  /** For a process of which nothing but its pid is known. */
  private orphanLineage(): Lineage {
    return this.lineages.intern(null, {
      program: this.inputs.identify(unknownFacts),
      earlier: [],
      uid: undefined,
      container: null,
      complete: false,
      init: false,
      elided: null,
    });
  }

  private startOf(exactTicks: number | undefined, otherwise: number): Start {
    const startTicks = exactTicks ?? otherwise;
    const startExact = exactTicks !== undefined;
    return { startTicks, startExact, time: startTicks * NS_PER_TICK - this.suspendedNs };
  }

  private add(
    pid: number,
    start: Start,
    lineage: Lineage,
    ancestry: Lineage | null,
    parentPid: number,
    kernelThread: boolean,
  ): Process {
    const process = new Process(pid, start, lineage, ancestry, parentPid, kernelThread);
    this.lineages.retain(lineage);
    if (ancestry !== null) this.lineages.retain(ancestry);
    this.live.set(pid, process);
    return process;
  }

  private adopt(pid: number, facts: ProcessFacts, ticks: number): Process {
    const parent = facts.parentPid === undefined ? undefined : this.live.get(facts.parentPid);
    const lineage = this.orphanLineage();
    const process = this.add(
      pid,
      this.startOf(facts.startTicks, ticks),
      lineage,
      parent?.lineage ?? null,
      parent?.pid ?? 0,
      false,
    );
    this.join(process, parent);
    // Pid 1 has no parent that could be guessed wrong.
    process.linkGuessed = pid !== 1;
    return process;
  }

  private adoptScanned(one: ScannedProcess, before: Remembered | undefined): Process {
    const { facts } = one;
    const parent = facts.parentPid === undefined ? undefined : this.live.get(facts.parentPid);
    if (before !== undefined && facts.startTicks !== undefined && before.startTicks === facts.startTicks) {
      const process = this.add(
        one.pid,
        this.startOf(facts.startTicks, 0),
        before.lineage,
        before.ancestry,
        parent?.pid ?? 0,
        one.kernelThread,
      );
      process.execed = before.execed;
      process.linkGuessed = before.linkGuessed;
      this.join(process, parent);
      this.rerun(one);
      return process;
    }
    if (one.kernelThread) return this.adoptKernelThread(one, parent);
    const process = this.adopt(one.pid, facts, 0);
    this.setImage(process, facts, this.inputs.identify(facts));
    return process;
  }

  /** Kernel threads come from kthreadd and nowhere else: nothing of their lineage can be missing. */
  private adoptKernelThread(one: ScannedProcess, parent: Process | undefined): Process {
    const program = this.inputs.kernelProgram;
    const spec = { program, earlier: [], uid: 0, container: null, complete: true, init: false, elided: null };
    const lineage = this.lineages.intern(null, spec);
    const thread = this.add(
      one.pid,
      this.startOf(one.facts.startTicks, 0),
      lineage,
      null,
      parent?.pid ?? 0,
      true,
    );
    this.join(thread, parent);
    return thread;
  }

  /** A known process was looked at again: if it runs something else, an exec was missed. */
  private rerun(one: ScannedProcess): Process | undefined {
    const process = this.live.get(one.pid);
    if (process === undefined || process.kernelThread || one.facts.executable === undefined) return undefined;
    // It has the pid of what was found, and is younger.
    if (one.facts.startTicks !== undefined && !startsAt(process, one.facts.startTicks)) return undefined;
    const program = this.inputs.identify(one.facts);
    if (program.key === process.lineage.program.key) return undefined;
    this.setImage(process, one.facts, program);
    return process;
  }

  private setImage(process: Process, facts: ProcessFacts, program: Runnable): void {
    const before = process.lineage;
    const container = facts.cgroup === undefined ? before.container : containerOf(facts.cgroup);
    const complete = !process.linkGuessed && (process.ancestry?.complete ?? process.pid === 1);
    const spec = {
      program,
      earlier: process.execed ? withEarlier(before, program) : noneEarlier,
      uid: facts.uid ?? before.uid,
      container,
      complete,
      init: process.pid === 1,
      elided: null,
    };
    process.execed = true;
    process.kernelThread = false;
    this.setLineage(process, this.lineages.intern(process.ancestry, spec));
  }

  private setLineage(process: Process, lineage: Lineage): void {
    const before = process.lineage;
    this.lineages.retain(lineage);
    process.lineage = lineage;
    this.lineages.release(before);
  }

  private join(child: Process, parent: Process | undefined): void {
    if (parent === undefined) return;
    this.kinship.join(child.kin, parent.kin);
  }

  private remove(process: Process): void {
    this.live.delete(process.pid);
    this.kinship.leave(process.kin);
    // Whoever still holds the process may read its lineages; the table only no longer hands them out.
    this.lineages.release(process.lineage);
    if (process.ancestry !== null) this.lineages.release(process.ancestry);
  }
}

/** The earlier programs of a process that now runs `program`: each once, the oldest kept when there are too many. */
function withEarlier(before: Lineage, program: Runnable): readonly Runnable[] {
  const { earlier } = before;
  if (before.program.key === program.key || earlier.some((one) => one.key === before.program.key))
    return earlier;
  return earlier.length >= EARLIER_LIMIT ? earlier : [...earlier, before.program];
}
