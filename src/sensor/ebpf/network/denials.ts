// The sets of denied networks and the processes that point to them, in the maps that deny.ts looks up.
import { type BpfMap, waitForPrograms } from "../../../linux/bpf/map.ts";
import type { SharedPage } from "../../../linux/bpf/memory.ts";
import { pinned } from "../../../linux/bpf/syscall.ts";
import { monotonicNow } from "../../../linux/clock.ts";
import type { DeniedNetwork, DeniedProcess, DenySets, NetworkDenials } from "../../network/denial.ts";
import { ENTRY_ATTEMPTS, type EntryOwner, entryOwner } from "../entry-owner.ts";
import { denyEntries, isByUser } from "./deny-entries.ts";
import { DENY_BY_USER, deniedProcess, networkPage } from "./layout.ts";

/** No program has this number, as it begins at 0 and would take years of execs to get there. */
const NO_PROGRAM = 0xffff_ffff;

/** The numbers of sets of users begin here, those of other sets below DENY_BY_USER. */
const FIRST_OF_USERS = 0x8000_0000;

interface DefinedSet {
  /** As processes point to it. */
  readonly number: number;
  readonly keys: readonly Uint8Array[];
}

export interface DenialMaps {
  readonly deniedProcesses: Pick<BpfMap, "lookup" | "update" | "delete" | "keys">;
  readonly deniedNetworks: Pick<BpfMap, "set" | "delete"> & { readonly keys: () => readonly Uint8Array[] };
}

export class KernelDenials implements NetworkDenials {
  private readonly maps: DenialMaps;
  private readonly page: Uint32Array;
  private readonly counters: BigUint64Array;
  private readonly sets = new Map<number, DefinedSet>();
  /** The start of each process that has an entry by `assign`, by its pid, until its exit is read. */
  private readonly assigned = new Map<number, number>();
  /** Peers are denied from now on; called for each set. */
  onDeniedPeers: () => void = () => undefined;
  /** Tries whether more is refused than what is denied: why, or undefined. Called once. */
  findProblem: () => string | undefined = () => undefined;
  private isChecked = false;
  /** See `NetworkDenials`. */
  problem: string | undefined;
  private readonly key = pinned(8);
  private readonly keyView = new DataView(this.key.buffer);
  private readonly value = pinned(deniedProcess.size);
  private readonly valueView = new DataView(this.value.buffer);
  private epoch = 0;
  renewed = 0;
  /** The highest epoch and number of a set that an earlier process has used: those here begin above them. */
  private readonly epochsBefore: number = 0;
  private readonly setsBefore: number = 0;
  /** The networks of the sets of an earlier process. */
  private inherited: readonly Uint8Array[] = [];

  /**
   * `limitMs`: milliseconds after the last `beat` from which nothing is denied; 0: never. `isInherited`: the maps have what an
   * earlier process has assigned.
   */
  constructor(
    maps: DenialMaps,
    { words, counters }: Pick<SharedPage, "words" | "counters">,
    limitMs: number,
    isInherited = false,
  ) {
    this.maps = maps;
    this.page = words;
    this.counters = counters;
    counters[networkPage.limit >>> 3] = BigInt(limitMs) * 1_000_000n;
    if (!isInherited) return;
    this.epochsBefore = (words[networkPage.lastEpoch >>> 2] ?? 0) + 1;
    this.setsBefore = words[networkPage.lastSet >>> 2] ?? 0;
    this.inherited = maps.deniedNetworks.keys();
    this.setEpoch(0);
  }

  get full(): number {
    return Number(this.counters[networkPage.full >>> 3]);
  }

  get isInherited(): boolean {
    return this.inherited.length > 0;
  }

  check(): void {
    if (this.isChecked) return;
    this.isChecked = true;
    this.problem = this.findProblem();
  }

  define(set: number, networks: readonly DeniedNetwork[]): void {
    this.check();
    if (networks.some(({ kind }) => kind !== "listen")) this.onDeniedPeers();
    const keys: Uint8Array[] = [];
    const number = isByUser(networks) ? this.numberInKernel(set) | DENY_BY_USER : this.numberInKernel(set);
    this.sets.set(set, { number, keys });
    const last = networkPage.lastSet >>> 2;
    this.page[last] = Math.max(this.page[last] ?? 0, this.numberInKernel(set));
    try {
      for (const { key, value } of denyEntries(number, networks, () => this.newOfUsers())) {
        this.maps.deniedNetworks.set(key, value);
        keys.push(key);
      }
    } catch (error) {
      this.remove(set);
      throw error;
    }
  }

  remove(set: number): void {
    for (const key of this.sets.get(set)?.keys ?? []) this.maps.deniedNetworks.delete(key);
    this.sets.delete(set);
  }

  assign(process: DeniedProcess, { set, afterExec }: DenySets): boolean {
    const sets = { set: this.numberOf(set), afterExec: this.numberOf(afterExec) };
    this.keyView.setBigUint64(0, BigInt(process.pid), true);
    for (let attempt = 0; attempt < ENTRY_ATTEMPTS; attempt += 1) {
      const entry = this.entryOf(process);
      // The events of a process that has ended may be read when its pid is another's.
      if (entry === "of a later process") return true;
      if (set === 0 && afterExec === 0) {
        if (entry !== "none") this.maps.deniedProcesses.delete(this.key);
        this.assigned.delete(process.pid);
        return true;
      }
      if (entry === "its own" && this.holds(process, sets)) return true;
      const isEarlier = entry === "its own" && this.isOfEarlierEpoch();
      this.encode(process, sets);
      // A fork or an exit since the lookup makes these fail: the entry is then another than the one that was compared.
      if (
        !this.maps.deniedProcesses.update(this.key, this.value, entry === "none" ? "ifAbsent" : "ifPresent")
      )
        continue;
      this.page[networkPage.denies >>> 2] = 1;
      this.assigned.set(process.pid, process.startTicks);
      if (isEarlier) this.renewed += 1;
      return true;
    }
    return false;
  }

  /**
   * Takes note of the exit of a process. The kernel removes an entry when its process ends; but one that was assigned
   * after that, because the events of the process were read late, would stay until the pid is used again.
   */
  exited(pid: number): void {
    const startTicks = this.assigned.get(pid);
    if (startTicks === undefined) return;
    this.assigned.delete(pid);
    this.keyView.setBigUint64(0, BigInt(pid), true);
    if (!this.maps.deniedProcesses.lookup(this.key, this.value)) return;
    // Another process may have the pid by now, and an entry that it inherited.
    const isIts = this.valueView.getBigUint64(deniedProcess.startTicks, true) === BigInt(startTicks);
    if (isIts) this.maps.deniedProcesses.delete(this.key);
  }

  setEpoch(epoch: number): void {
    this.epoch = (this.epochsBefore + epoch) >>> 0;
    const last = networkPage.lastEpoch >>> 2;
    this.page[last] = Math.max(this.page[last] ?? 0, this.epoch);
  }

  beat(): void {
    this.counters[networkPage.beat >>> 3] = BigInt(Math.floor(monotonicNow()));
  }

  awaitPrograms(): void {
    waitForPrograms();
  }

  enforceEpoch(): void {
    this.beat();
    this.page[networkPage.denyEpoch >>> 2] = this.epoch;
    waitForPrograms();
    if (!this.isInherited) return;
    for (const key of this.inherited) this.maps.deniedNetworks.delete(key);
    this.inherited = [];
    this.removeVoid();
  }

  /** Removes what an earlier process has assigned, also to processes whose exit it has not read. */
  private removeVoid(): void {
    for (const key of this.maps.deniedProcesses.keys()) {
      if (!this.maps.deniedProcesses.lookup(key, this.value)) continue;
      if (this.valueView.getUint32(deniedProcess.epoch, true) < this.epoch)
        this.maps.deniedProcesses.delete(key);
    }
  }

  private numberInKernel(set: number): number {
    return this.setsBefore + set;
  }

  /** As processes point to a set; 0 stays 0. */
  private numberOf(set: number): number {
    return set === 0 ? 0 : (this.sets.get(set)?.number ?? this.numberInKernel(set));
  }

  /** An unused number for a set of some users. */
  private newOfUsers(): number {
    const last = networkPage.lastOfUsers >>> 2;
    const number = Math.max(FIRST_OF_USERS, (this.page[last] ?? 0) + 1);
    this.page[last] = number;
    return number;
  }

  /** Looks up the entry of the process whose pid is in the key. Its value is in `value` then. */
  private entryOf({ startTicks }: DeniedProcess): EntryOwner {
    if (!this.maps.deniedProcesses.lookup(this.key, this.value)) return "none";
    const start = Number(this.valueView.getBigUint64(deniedProcess.startTicks, true));
    return entryOwner(start, startTicks);
  }

  /** Whether the entry in `value`, which is of the process, needs no change. */
  private holds({ execId = NO_PROGRAM }: DeniedProcess, { set, afterExec }: DenySets): boolean {
    const view = this.valueView;
    return (
      view.getUint32(deniedProcess.epoch, true) === this.epoch &&
      view.getUint32(deniedProcess.set, true) === set &&
      view.getUint32(deniedProcess.afterExec, true) === afterExec &&
      view.getUint32(deniedProcess.execId, true) === execId
    );
  }

  private isOfEarlierEpoch(): boolean {
    return this.valueView.getUint32(deniedProcess.epoch, true) !== this.epoch;
  }

  private encode({ startTicks, execId = NO_PROGRAM }: DeniedProcess, { set, afterExec }: DenySets): void {
    const view = this.valueView;
    view.setBigUint64(deniedProcess.startTicks, BigInt(startTicks), true);
    view.setUint32(deniedProcess.execId, execId, true);
    view.setUint32(deniedProcess.epoch, this.epoch, true);
    view.setUint32(deniedProcess.set, set, true);
    view.setUint32(deniedProcess.afterExec, afterExec, true);
  }
}
