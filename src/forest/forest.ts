// The live processes of the host and the ancestry of each, kept up to date by events.
//
// Two structures: `Lineages` (shared nodes with programs, users and containers, from which trees are derived) and
// `ProcessTree` (which process forked which, to find all descendants of a process). The process tree keeps a process
// that has ended only while it joins two or more branches with live processes, so its size is bounded by their number.

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
import { type LastingFacts, lastingFacts } from "./lasting-facts.ts";
import { type Lineage, Lineages, withEarlier } from "./lineage.ts";
import { Process, type Start } from "./process.ts";
import { ProcessTree } from "./process-tree.ts";
import type { Runnable } from "./runnable.ts";

/** The earlier programs of most processes, shared so that an exec allocates no array. */
const noneEarlier: readonly never[] = [];

/**
 * A loss may be noticed this long after it happened (ns): the kernel's count of program runs that were skipped is read
 * once a second.
 */
const LATE_NS = 1.5e9;

/** Any user can make a longer chain of processes; no server has one. */
const LIVE_ANCESTORS = 64;

/** What the forest needs from its owner. */
export interface ForestInputs {
  /** Identifies what a process runs from its facts. */
  readonly identify: (facts: ProcessFacts) => Runnable;
  /** The same of a process that a scan found; `known`: what events have reported that it runs. */
  readonly identifyRunning: (facts: ProcessFacts, known: Runnable | undefined) => Runnable;
  /** The program of every kernel thread. */
  readonly kernelProgram: Runnable;
  /** Called when a process has ended without an exit event: its pid now belongs to another process. */
  readonly missedExit: (process: Process) => void;
}

/** How a scan of /proc differs from the processes that events reported. */
export interface Differences {
  /** Processes that the scan found and no event had reported. */
  readonly found: readonly FoundProcess[];
  /** Known processes whose pid now belongs to another process. */
  readonly ended: readonly Process[];
  /** Known processes that the scan did not find. `forget` them once all events from before the scan are handled. */
  readonly missing: readonly Process[];
  /** Processes that run another program than the known one, because an exec was missed. */
  readonly changed: readonly FoundProcess[];
}

/** A process with the facts that the scan read. */
export interface FoundProcess {
  readonly process: Process;
  readonly facts: ProcessFacts;
}

/** A process that an earlier run within the same boot has saved, with its lineages. */
export interface Remembered extends ProcessKey {
  readonly lineage: Lineage;
  readonly ancestry: Lineage | null;
  readonly execed: boolean;
  readonly linkGuessed: boolean;
}

/** A live process with all that the forest has of it, of a forest that was written down. */
export interface RestoredProcess extends Remembered {
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly startTime: number;
  readonly parentPid: number;
  readonly kernelThread: boolean;
  readonly facts: LastingFacts;
  readonly execId: number | undefined;
}

export class Forest {
  readonly lineages = new Lineages();
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC in ns; grows while the machine is suspended. Set it before handing in events. */
  suspendedNs = 0;
  /**
   * Time of the last loss (ns, CLOCK_MONOTONIC) until a scan that began after it has been applied; undefined while no
   * event is missing. What a parent runs may be out of date in the meantime, so links found then are uncertain.
   */
  lossTime: number | undefined = undefined;
  /** Time at which the last scan began; undefined before the first. */
  private scanTime: number | undefined;
  private readonly live = new Map<number, Process>();
  private readonly inputs: ForestInputs;
  private readonly tree = new ProcessTree<Process>();

  constructor(inputs: ForestInputs) {
    this.inputs = inputs;
  }

  /** Number of live processes. */
  get size(): number {
    return this.live.size;
  }

  /** Number of nodes kept for processes that have ended; always smaller than the number of live processes. */
  get endedKept(): number {
    return this.tree.tombstones;
  }

  /** The process that has `pid` according to the events handed in so far. */
  get(pid: number): Process | undefined {
    return this.live.get(pid);
  }

  /** The live process that `key` denotes. Undefined if it has ended, even if another process has its pid now. */
  find(key: ProcessKey): Process | undefined {
    const process = this.live.get(key.pid);
    return process !== undefined && isSameProcess(process, key) ? process : undefined;
  }

  processes(): IterableIterator<Process> {
    return this.live.values();
  }

  /** The live ancestors of a process, the nearest first. Of a chain of thousands the nearest are enough. */
  liveAncestors(process: Process): readonly Process[] {
    return this.tree.above(process.node, LIVE_ANCESTORS);
  }

  /** Fills an empty forest with processes as they were, whatever the host runs now. */
  restore(processes: Iterable<RestoredProcess>): void {
    for (const one of processes) {
      const start = { startTicks: one.startTicks, startExact: one.startExact, time: one.startTime };
      const process = this.add(one.pid, start, one.lineage, one.ancestry, one.parentPid, one.kernelThread);
      process.execed = one.execed;
      process.linkGuessed = one.linkGuessed;
      process.takeOver(one);
    }
    for (const process of this.live.values()) {
      const parent = this.live.get(process.parentPid);
      if (parent !== process) this.link(process, parent);
    }
  }

  /** Handles a fork. Returns undefined if the event is older than the known process of that pid. */
  fork(event: ForkEvent): Process | undefined {
    const known = this.live.get(event.pid);
    if (known !== undefined) {
      if (known.linkGuessed && isSameProcess(known, event)) {
        this.confirmLink(known, this.live.get(event.parentPid));
        return undefined;
      }
      if (known.startTicks > event.startTicks + START_SLACK_TICKS) return undefined;
      // The kernel does not reuse a pid while its owner lives.
      this.miss(known);
    }
    const parent = this.live.get(event.parentPid);
    const ancestry = parent === undefined ? null : this.ancestryBelow(parent);
    const lineage = ancestry === null ? this.orphanLineage(this.wasScanned) : this.childLineage(ancestry);
    const kernel = parent?.kernelThread ?? false;
    const child = this.add(event.pid, event, lineage, ancestry, event.parentPid, kernel);
    if (parent !== undefined) child.takeOver(parent);
    this.link(child, parent);
    return child;
  }

  /** Handles an exec. Creates the process if its fork was missed. Returns undefined if the event is older than it. */
  exec(event: ExecEvent): Process | undefined {
    const { facts } = event;
    let process = this.live.get(event.pid);
    if (process !== undefined && facts.startTicks !== undefined && !startsAt(process, facts.startTicks)) {
      if (process.startTicks > facts.startTicks) return undefined;
      this.miss(process);
      process = undefined;
    }
    if (process === undefined)
      process = this.adopt(event.pid, facts, this.ticksAt(event.time), this.wasScanned);
    if (facts.startTicks !== undefined) this.learnStart(process, facts.startTicks);
    this.setProgram(process, facts, this.inputs.identify(facts));
    process.execId = event.execId;
    return process;
  }

  /** Handles a change of the effective user. Returns undefined if the process is unknown or had that user already. */
  user(event: UserEvent): Process | undefined {
    const process = this.live.get(event.pid);
    if (process === undefined || process.lineage.uid === event.uid) return undefined;
    const { lineage } = process;
    // A process that shares its parent's node gets a node of its own below it.
    const hasOwnNode = process.ancestry !== lineage;
    this.setLineage(
      process,
      this.lineages.intern(hasOwnNode ? lineage.parent : lineage, {
        program: lineage.program,
        earlier: hasOwnNode ? lineage.earlier : [],
        uid: event.uid,
        container: lineage.container,
        complete: lineage.complete,
        uncertain: lineage.uncertain,
        init: process.pid === 1,
        elided: hasOwnNode ? lineage.elided : null,
      }),
    );
    return process;
  }

  /** Handles an exit. Returns undefined if the process is unknown, or if an earlier owner of the pid ended. */
  exit(event: ExitEvent): Process | undefined {
    const process = this.live.get(event.pid);
    if (process === undefined) return undefined;
    if (process.startTicks > this.ticksAt(event.time)) return undefined;
    this.remove(process);
    return process;
  }

  /** A scan of /proc has begun at `time` (ns, CLOCK_MONOTONIC), which will be handed in by parts. */
  beginScan(time: number): void {
    this.scanTime = time;
  }

  /**
   * Adds the processes of a scan of /proc that began at `scanTime` (ns, CLOCK_MONOTONIC). Known processes that started
   * later are not compared, because the scan may lack them. After `forget` the forest equals the scan.
   */
  reconcile(
    scan: readonly ScannedProcess[],
    scanTime: number,
    remembered?: ReadonlyMap<number, Remembered>,
  ): Differences {
    const byPid = new Map<number, ScannedProcess>();
    for (const scanned of scan) byPid.set(scanned.pid, scanned);
    const ended: Process[] = [];
    const missing: Process[] = [];
    const scanTicks = this.ticksAt(scanTime);
    this.scanTime = scanTime;
    for (const process of [...this.live.values()]) {
      const scanned = byPid.get(process.pid);
      const isSame =
        scanned !== undefined &&
        (scanned.facts.startTicks === undefined || startsAt(process, scanned.facts.startTicks));
      if (isSame || process.startTicks >= scanTicks) continue;
      if (scanned === undefined) {
        missing.push(process);
        continue;
      }
      this.remove(process);
      ended.push(process);
    }
    const found: FoundProcess[] = [];
    const changed: FoundProcess[] = [];
    const visit = (scanned: ScannedProcess): void => {
      if (this.live.has(scanned.pid)) {
        const process = this.applyMissedExec(scanned);
        if (process !== undefined) changed.push({ process, facts: scanned.facts });
        return;
      }
      for (const unknown of this.unknownAncestry(scanned, byPid)) {
        const process = this.adoptScanned(unknown, remembered?.get(unknown.pid));
        found.push({ process, facts: unknown.facts });
      }
    };
    for (const scanned of scan) visit(scanned);
    return { found, ended, missing, changed };
  }

  /**
   * Gives a known process the ancestors that it has now, as if a scan had found it: it was forked before anything was known of
   * its parent. Undefined if it has ended meanwhile, or has no parent.
   */
  relink({ pid, facts }: ScannedProcess): Process | undefined {
    const process = this.live.get(pid);
    const parent = facts.parentPid === undefined ? undefined : this.live.get(facts.parentPid);
    if (process === undefined || parent === undefined) return undefined;
    if (facts.startTicks === undefined || !startsAt(process, facts.startTicks)) return undefined;
    const { execId, execed, lineage } = process;
    process.linkGuessed = true;
    this.setAncestry(process, parent.lineage);
    // An event has said what it executed. A copy of its parent runs what that ran.
    const program = execed ? lineage.program : this.inputs.identifyRunning(facts, undefined);
    this.setProgram(process, facts, program);
    process.execId = execId;
    return process;
  }

  /**
   * Removes processes that a scan did not find, unless an exit event has removed them since; returns those it removed.
   * This is a step of its own because the exec of a process that ended before the scan may still wait in the sensor,
   * and it needs the process and its tree.
   */
  forget(missing: readonly Process[]): readonly Process[] {
    const forgotten = missing.filter((process) => this.live.get(process.pid) === process);
    for (const process of forgotten) this.remove(process);
    if (this.lossTime !== undefined && this.scanTime !== undefined && this.lossTime <= this.scanTime)
      this.lossTime = undefined;
    return forgotten;
  }

  /**
   * Events were lost, which was noticed at `time` (ns, CLOCK_MONOTONIC). Until a later scan is applied, links are
   * uncertain, and so are those of processes that were forked shortly before.
   */
  lost(time: number): void {
    const isFirst = this.lossTime === undefined;
    this.lossTime = time;
    if (!isFirst) return;
    for (const process of this.live.values())
      if (process.startTime >= time - LATE_NS) this.makeUncertain(process);
  }

  /** Orphans that an event shows after a scan began have lost their ancestors; before it nothing was known anyway. */
  private get wasScanned(): boolean {
    return this.scanTime !== undefined;
  }

  private makeUncertain(process: Process): void {
    const { ancestry, lineage } = process;
    // Pid 1 is in no tree, so what it ran cannot be out of date.
    if (ancestry === null || ancestry.init || ancestry.uncertain) return;
    const uncertain = this.uncertainTwin(ancestry);
    this.setAncestry(process, uncertain);
    this.setLineage(process, lineage === ancestry ? uncertain : this.lineages.intern(uncertain, lineage));
  }

  /** What a process that `parent` forks now has above it. */
  private ancestryBelow({ lineage }: Process): Lineage {
    return this.lossTime === undefined || lineage.init ? lineage : this.uncertainTwin(lineage);
  }

  /** The same node, but uncertain. */
  private uncertainTwin(lineage: Lineage): Lineage {
    if (lineage.uncertain) return lineage;
    const { program, earlier, uid, container, complete, init, elided } = lineage;
    const spec = { program, earlier, uid, container, complete, uncertain: true, init, elided };
    return this.lineages.intern(lineage.parent, spec);
  }

  private setAncestry(process: Process, ancestry: Lineage): void {
    const previous = process.ancestry;
    this.lineages.retain(ancestry);
    process.ancestry = ancestry;
    if (previous !== null) this.lineages.release(previous);
  }

  /** `scanned` and its ancestors that are not known yet, parents first, so that lineages are complete. */
  private unknownAncestry(
    scanned: ScannedProcess,
    byPid: ReadonlyMap<number, ScannedProcess>,
  ): readonly ScannedProcess[] {
    // A scan is not atomic, so reused pids may form a cycle; the set ends the loop.
    const ancestry = new Set<ScannedProcess>();
    let next: ScannedProcess | undefined = scanned;
    while (next !== undefined && !ancestry.has(next) && !this.live.has(next.pid)) {
      ancestry.add(next);
      next = next.facts.parentPid === undefined ? undefined : byPid.get(next.facts.parentPid);
    }
    return [...ancestry].reverse();
  }

  /** `process` and every live process that descends from it, parents before children. */
  descendants(process: Process): Process[] {
    return this.tree.from(process.node);
  }

  /** Sets the exact start of a process as /proc has it. Ignored if it belongs to another process with this pid. */
  learnStart(process: Process, startTicks: number): void {
    if (!startsAt(process, startTicks)) return;
    process.startTicks = startTicks;
    process.startExact = true;
  }

  private ticksAt(time: number): number {
    return bootTicks(time + this.suspendedNs);
  }

  /** The lineage of a new child: its parent's node, unless the parent is pid 1, which no tree shows. */
  private childLineage(lineage: Lineage): Lineage {
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

  /** Handles the fork event of a process that was already known: its link to its parent is no longer a guess. */
  private confirmLink(process: Process, parent: Process | undefined): void {
    process.linkGuessed = false;
    if (process.ancestry === null || parent === undefined) return;
    // Only its own link was uncertain, unless events are missing.
    const isCertain = this.lossTime === undefined && !parent.lineage.uncertain;
    if (isCertain && process.ancestry.uncertain) this.setAncestry(process, parent.lineage);
    else if (!process.ancestry.complete) return;
    const { program, earlier, uid, container, elided } = process.lineage;
    const spec = { program, earlier, uid, container, complete: true, init: false, elided };
    this.setLineage(process, this.lineages.intern(process.ancestry, spec));
  }

  /** Removes a process whose exit event was missed. */
  private miss(process: Process): void {
    this.remove(process);
    this.inputs.missedExit(process);
  }

  /** The lineage of a process of which only the pid is known. */
  private orphanLineage(uncertain: boolean): Lineage {
    return this.lineages.intern(null, {
      program: this.inputs.identify(unknownFacts),
      earlier: [],
      uid: undefined,
      container: null,
      complete: false,
      uncertain,
      init: false,
      elided: null,
    });
  }

  private startOf(exactTicks: number | undefined, estimatedTicks: number): Start {
    const startTicks = exactTicks ?? estimatedTicks;
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

  /** Adds a process whose fork was missed. `ticks` is the estimate of its start if the facts do not have it. */
  private adopt(pid: number, facts: ProcessFacts, ticks: number, uncertain: boolean): Process {
    const parent = facts.parentPid === undefined ? undefined : this.live.get(facts.parentPid);
    const lineage = this.orphanLineage(uncertain);
    const above = parent?.lineage ?? null;
    const process = this.add(
      pid,
      this.startOf(facts.startTicks, ticks),
      lineage,
      above !== null && uncertain ? this.uncertainTwin(above) : above,
      parent?.pid ?? 0,
      false,
    );
    this.link(process, parent);
    // Pid 1 has no parent, so its link is no guess.
    process.linkGuessed = pid !== 1;
    return process;
  }

  private adoptScanned(scanned: ScannedProcess, remembered: Remembered | undefined): Process {
    const { facts } = scanned;
    const parent = facts.parentPid === undefined ? undefined : this.live.get(facts.parentPid);
    const isRemembered = remembered !== undefined && facts.startTicks !== undefined;
    if (isRemembered && remembered.startTicks === facts.startTicks) {
      const process = this.add(
        scanned.pid,
        this.startOf(facts.startTicks, 0),
        remembered.lineage,
        remembered.ancestry,
        parent?.pid ?? 0,
        scanned.kernelThread,
      );
      process.execed = remembered.execed;
      process.linkGuessed = remembered.linkGuessed;
      process.facts = lastingFacts(facts, process.facts);
      this.link(process, parent);
      if (scanned.execWaits === true) this.setLineage(process, this.uncertainTwin(process.lineage));
      else this.applyMissedExec(scanned);
      return process;
    }
    if (scanned.kernelThread) return this.adoptKernelThread(scanned, parent);
    const process = this.adopt(scanned.pid, facts, 0, this.lossTime !== undefined);
    if (scanned.execWaits === true) this.leaveProgramUnknown(process, facts);
    else this.setProgram(process, facts, this.inputs.identifyRunning(facts, undefined));
    return process;
  }

  /** What it ran until the exec that waits can no longer be read, so what it has forked until then is uncertain. */
  private leaveProgramUnknown(process: Process, facts: ProcessFacts): void {
    process.facts = lastingFacts(facts, process.facts);
    const lineage = this.lineages.intern(process.ancestry, {
      program: this.inputs.identify(unknownFacts),
      earlier: noneEarlier,
      uid: facts.uid,
      container: facts.cgroup === undefined ? null : containerOf(facts.cgroup),
      complete: false,
      uncertain: process.pid !== 1,
      init: process.pid === 1,
      elided: null,
    });
    this.setLineage(process, lineage);
  }

  /** Adds a kernel thread. Only kthreadd forks them, so their lineage is complete. */
  private adoptKernelThread(scanned: ScannedProcess, parent: Process | undefined): Process {
    const program = this.inputs.kernelProgram;
    const spec = { program, earlier: [], uid: 0, container: null, complete: true, init: false, elided: null };
    const lineage = this.lineages.intern(null, spec);
    const thread = this.add(
      scanned.pid,
      this.startOf(scanned.facts.startTicks, 0),
      lineage,
      null,
      parent?.pid ?? 0,
      true,
    );
    this.link(thread, parent);
    return thread;
  }

  /** Updates a known process if the scan shows that it missed an exec; returns undefined if nothing changed. */
  private applyMissedExec({ pid, facts }: ScannedProcess): Process | undefined {
    const process = this.live.get(pid);
    if (process === undefined || process.kernelThread || facts.executable === undefined) return undefined;
    // The pid was reused after the scan, so the facts are of an earlier process.
    if (facts.startTicks !== undefined && !startsAt(process, facts.startTicks)) return undefined;
    const program = this.inputs.identifyRunning(facts, process.lineage.program);
    if (program.key === process.lineage.program.key) return undefined;
    this.setProgram(process, facts, program);
    return process;
  }

  private setProgram(process: Process, facts: ProcessFacts, program: Runnable): void {
    const previous = process.lineage;
    const container = facts.cgroup === undefined ? previous.container : containerOf(facts.cgroup);
    const complete = !process.linkGuessed && (process.ancestry?.complete ?? process.pid === 1);
    const spec = {
      program,
      earlier: process.execed ? withEarlier(previous, program) : noneEarlier,
      uid: facts.uid ?? previous.uid,
      container,
      complete,
      uncertain: process.ancestry === null && previous.uncertain,
      init: process.pid === 1,
      elided: null,
    };
    process.execed = true;
    process.kernelThread = false;
    process.execId = undefined;
    process.facts = lastingFacts(facts, process.facts);
    this.setLineage(process, this.lineages.intern(process.ancestry, spec));
  }

  private setLineage(process: Process, lineage: Lineage): void {
    const previous = process.lineage;
    this.lineages.retain(lineage);
    process.lineage = lineage;
    this.lineages.release(previous);
  }

  private link(child: Process, parent: Process | undefined): void {
    if (parent === undefined) return;
    this.tree.join(child.node, parent.node);
  }

  private remove(process: Process): void {
    this.live.delete(process.pid);
    this.tree.leave(process.node);
    // Code that still holds the process may read its lineages; the table only stops sharing them.
    this.lineages.release(process.lineage);
    if (process.ancestry !== null) this.lineages.release(process.ancestry);
  }
}
