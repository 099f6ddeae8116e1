// Writes sets, exceptions and closed processes into the maps that the exec, fork and exit programs use, and reads back what the
// programs have counted there.
import { assemble } from "../../../linux/bpf/assembler.ts";
import { BtfError } from "../../../linux/bpf/btf.ts";
import { BpfIterator } from "../../../linux/bpf/iterator.ts";
import { waitForPrograms } from "../../../linux/bpf/map.ts";
import { pinned } from "../../../linux/bpf/syscall.ts";
import { monotonicNow } from "../../../linux/clock.ts";
import { NS_PER_TICK } from "../../../linux/ticks.ts";
import type {
  ClosedProcess,
  ClosedSet,
  ClosedSets,
  FileIdentity,
  Prevention,
  PreventionCounts,
  PreventionRefusals,
} from "../../prevention/closed-set.ts";
import { keepsIdentities } from "../../prevention/file-systems.ts";
import { ENTRY_ATTEMPTS, type EntryOwner, entryOwner } from "../entry-owner.ts";
import type { KernelLayout } from "../kernel.ts";
import { filesProgram, processesProgram } from "./iterators.ts";
import { KernelSets, raiseWord } from "./kernel-sets.ts";
import {
  closedKey,
  closedProcess,
  exceptionKey,
  listedFile,
  listedProcess,
  preventionPage,
} from "./layout.ts";
import type { ClosedSetMaps } from "./maps.ts";
import { PayerAllowances } from "./payer-allowances.ts";

/** The pid of kthreadd, the first kernel thread (init/main.c, rest_init), which has the host's mounts. */
const KTHREADD = 2;

const ROOT = 0;
/** No user has this number (uid_valid of linux/uidgid.h). */
const NOBODY = 0xffff_ffff;

/** What a process runs, by which its entry is found. */
interface Program {
  /** Clock ticks since boot. */
  readonly startTicks: number;
  /** The lower half of task_struct.self_exec_id, which each exec raises by one. */
  readonly execId: number;
}

export class KernelPrevention implements Prevention, Disposable {
  private readonly maps: ClosedSetMaps;
  private readonly files: BpfIterator;
  private readonly processes: BpfIterator;
  private readonly words: Uint32Array;
  private readonly counters: BigUint64Array;
  private readonly sets: KernelSets;
  /** The program that each process with an entry by `assign` ran, by its pid, until its exit is read. */
  private readonly assigned = new Map<number, Program>();
  /** What each process ran when the programs were attached, or before a scan, by pid. Invalidated by: the next `takeSnapshot`. */
  private snapshot = new Map<number, Program>();
  private epoch = 0;
  /** The highest epoch that an earlier process has used in these maps; those of this process begin above it. */
  private readonly epochsBefore: number = 0;
  isInherited: boolean;
  /** Entries that this class has made, less those that it has removed; kept in `preventionPage.usedByUser`. */
  private used = 0;
  /** How often there was no room for an entry. */
  private full = 0;
  private readonly key = pinned(closedKey.size);
  private readonly keyView = new DataView(this.key.buffer);
  private readonly value = pinned(closedProcess.size);
  private readonly valueView = new DataView(this.value.buffer);
  private readonly allowances: PayerAllowances;

  /**
   * `isInherited`: the maps have what an earlier process has assigned, which is in force until `enforceEpoch`. Throws a
   * BtfError if the kernel has no iterators, and a VerifierError or SystemCallError if it refuses them.
   */
  constructor(kernel: KernelLayout, maps: ClosedSetMaps, isInherited = false) {
    const { files, processes } = kernel.iterators;
    if (files === undefined || processes === undefined)
      throw new BtfError("BTF: the kernel has no iterators of tasks");
    using stack = new DisposableStack();
    this.maps = maps;
    this.words = maps.shared.words;
    this.counters = maps.shared.counters;
    this.allowances = new PayerAllowances(maps.allowances);
    this.sets = new KernelSets(maps, isInherited);
    this.files = stack.use(new BpfIterator("tw_files", assemble(filesProgram(kernel, maps)), files));
    this.processes = stack.use(
      new BpfIterator("tw_processes", assemble(processesProgram(kernel)), processes),
    );
    this.takeSnapshot();
    this.isInherited = isInherited;
    if (isInherited) {
      this.epochsBefore = (this.words[preventionPage.lastEpoch >>> 2] ?? 0) + 1;
      this.used = Number(BigInt.asIntN(64, this.counters[preventionPage.usedByUser >>> 3] ?? 0n));
      this.setEpoch(0);
    }
    stack.move();
  }

  define(set: number, content: ClosedSet): void {
    this.sets.define(set, content);
  }

  remove(set: number): void {
    this.sets.remove(set);
  }

  assign(process: ClosedProcess, { own, child }: ClosedSets): boolean {
    const program = this.programOf(process);
    const before = this.assigned.get(process.pid);
    if (before !== undefined && before.execId !== program?.execId) this.forget(process.pid, before);
    if (program === undefined) return true;
    if (own === 0 && child === 0) {
      this.forget(process.pid, program);
      return true;
    }
    for (let attempt = 0; attempt < ENTRY_ATTEMPTS; attempt += 1) {
      const owner = this.entryOf(process.pid, program);
      if (owner === "of a later process") return true;
      if (owner === "none" && process.uid !== ROOT && this.isHalfFull) break;
      this.encode(program, process, this.sets.numberOf(own), this.sets.numberOf(child));
      // This fails if a fork, an exec or an exit has changed the entry since the lookup: it is compared again.
      if (!this.maps.closed.update(this.key, this.value, owner === "none" ? "ifAbsent" : "ifPresent"))
        continue;
      if (owner === "none") this.countUsed(1);
      this.assigned.set(process.pid, program);
      return true;
    }
    this.full += 1;
    return false;
  }

  /**
   * The kernel removes an entry when its process ends; but one that was assigned after that, because the events of the
   * process were read late, would stay until the pid is used again.
   */
  exited(pid: number): void {
    const program = this.assigned.get(pid);
    if (program !== undefined) this.forget(pid, program);
  }

  setEpoch(epoch: number): void {
    this.epoch = (this.epochsBefore + epoch) >>> 0;
    raiseWord(this.words, preventionPage.lastEpoch, this.epoch);
  }

  enforceEpoch(): void {
    this.words[preventionPage.epoch >>> 2] = this.epoch;
    waitForPrograms();
    this.removeInherited();
  }

  setActing(acts: boolean): void {
    if (acts) this.beat();
    this.words[preventionPage.acting >>> 2] = acts ? 1 : 0;
    waitForPrograms();
  }

  beat(): void {
    this.counters[preventionPage.beat >>> 3] = BigInt(Math.floor(monotonicNow()));
  }

  identify(pid: number, descriptors: readonly number[]): ReadonlyMap<number, FileIdentity> {
    const wanted = new Set(descriptors);
    const identities = new Map<number, FileIdentity>();
    this.words[preventionPage.listed >>> 2] = pid;
    this.files.read(listedFile.size, (record) => {
      const descriptor = record.getUint32(listedFile.descriptor, true);
      if (!wanted.has(descriptor) || record.getUint32(listedFile.hosts, true) === 0) return;
      const identity = identityIn(record);
      if (keepsIdentities(identity.filesystem)) identities.set(descriptor, identity);
    });
    return identities;
  }

  counts(): PreventionCounts {
    return {
      prevented: this.sets.takePrevented(),
      failed: Number(this.counters[preventionPage.failed >>> 3]),
      full: Number(this.counters[preventionPage.full >>> 3]) + this.full,
    };
  }

  get refused(): number {
    return Number(this.counters[preventionPage.refused >>> 3]);
  }

  refusals(): PreventionRefusals {
    return { count: this.refused, ofPayers: this.allowances.refused() };
  }

  /** Reads what every process runs now. To be called before a scan of /proc, where the number of an exec cannot be read. */
  takeSnapshot(): void {
    const snapshot = new Map<number, Program>();
    this.processes.read(listedProcess.size, (record) => {
      const pid = record.getUint32(listedProcess.pid, true);
      const start = Number(record.getBigUint64(listedProcess.start, true) / BigInt(NS_PER_TICK));
      snapshot.set(pid, { startTicks: start, execId: record.getUint32(listedProcess.execId, true) });
      if (pid === KTHREADD)
        this.words[preventionPage.hostMounts >>> 2] = record.getUint32(listedProcess.mounts, true);
    });
    this.snapshot = snapshot;
  }

  [Symbol.dispose](): void {
    this.files[Symbol.dispose]();
    this.processes[Symbol.dispose]();
  }

  /**
   * The program that was judged. Where the number of its exec is not known, a scan of /proc has found the process, and the
   * snapshot that was taken before that scan has the number. If the process has executed another program since the snapshot,
   * its number is higher, so that the entry does not apply to it.
   */
  private programOf({ pid, startTicks, execId }: ClosedProcess): Program | undefined {
    if (execId !== undefined) return { startTicks, execId };
    const program = this.snapshot.get(pid);
    return program?.startTicks === startTicks ? program : undefined;
  }

  /** Whether half of the room for entries is taken. The other half is for root's processes. */
  private get isHalfFull(): boolean {
    const byPrograms = Number(BigInt.asIntN(64, this.counters[preventionPage.used >>> 3] ?? 0n));
    return byPrograms + this.used > Number(this.counters[preventionPage.share >>> 3] ?? 0n);
  }

  /** Removes the entry of a program, unless the pid now belongs to another process, which has inherited an entry. */
  private forget(pid: number, program: Program): void {
    this.assigned.delete(pid);
    if (this.entryOf(pid, program) === "its own") this.deleteEntry(this.key);
  }

  private deleteEntry(key: Uint8Array): void {
    if (this.maps.closed.delete(key)) this.countUsed(-1);
  }

  /** Whose entry is under the program's key. Leaves the key in `key`, and the entry, if there is one, in `value`. */
  private entryOf(pid: number, { startTicks, execId }: Program): EntryOwner {
    this.keyView.setUint32(closedKey.pid, pid, true);
    this.keyView.setUint32(closedKey.execId, execId, true);
    if (!this.maps.closed.lookup(this.key, this.value)) return "none";
    return entryOwner(Number(this.valueView.getBigUint64(closedProcess.startTicks, true)), startTicks);
  }

  /** Writes an entry of the present epoch to `value`. `own` and `child` are numbers in the kernel. */
  private encode({ startTicks }: Program, { uid, payers }: ClosedProcess, own: number, child: number): void {
    this.valueView.setBigUint64(closedProcess.startTicks, BigInt(startTicks), true);
    this.valueView.setUint32(closedProcess.epoch, this.epoch, true);
    this.valueView.setUint32(closedProcess.own, own, true);
    this.valueView.setUint32(closedProcess.child, child, true);
    this.valueView.setUint32(closedProcess.uid, uid ?? NOBODY, true);
    for (const i of [0, 1])
      this.valueView.setUint16(closedProcess.payers + 2 * i, this.allowances.numberOf(payers[i]), true);
  }

  /** Removes what an earlier process has defined and assigned, which is void. */
  private removeInherited(): void {
    if (!this.isInherited) return;
    this.isInherited = false;
    this.sets.removeInherited();
    for (const key of this.maps.closed.keys()) {
      if (!this.maps.closed.lookup(key, this.value)) continue;
      if (this.valueView.getUint32(closedProcess.epoch, true) < this.epoch) this.deleteEntry(key);
    }
  }

  private countUsed(change: number): void {
    this.used += change;
    this.counters[preventionPage.usedByUser >>> 3] = BigInt.asUintN(64, BigInt(this.used));
  }
}

function identityIn(record: DataView): FileIdentity {
  const { file } = listedFile;
  return {
    device: record.getUint32(file + exceptionKey.device, true),
    inode: record.getBigUint64(file + exceptionKey.inode, true),
    generation: record.getUint32(file + exceptionKey.generation, true),
    changed: record.getBigInt64(file + exceptionKey.changed, true),
    changedNanoseconds: record.getUint32(file + exceptionKey.changedNanoseconds, true),
    filesystem: Number(record.getBigUint64(file + exceptionKey.filesystem, true)),
  };
}
