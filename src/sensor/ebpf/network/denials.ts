// The sets of denied networks and the processes that point to them, in the maps that deny.ts looks up.
import { type BpfMap, waitForPrograms } from "../../../linux/bpf/map.ts";
import { pinned, pinnedCopy } from "../../../linux/bpf/syscall.ts";
import { networkKinds } from "../../event.ts";
import type { DeniedNetwork, DeniedProcess, DenySets, NetworkDenials } from "../../network/denial.ts";
import { portsValue } from "../../network/filter-maps.ts";
import { DENY_HEAD_BITS, deniedProcess, denyKey, networkPage, transportNumbers } from "./layout.ts";

/** No program has this number, as it begins at 0 and would take years of execs to get there. */
const NO_PROGRAM = 0xffff_ffff;

export interface DenialMaps {
  readonly deniedProcesses: Pick<BpfMap, "lookup" | "update" | "delete">;
  readonly deniedNetworks: Pick<BpfMap, "set" | "delete">;
}

export class KernelDenials implements NetworkDenials {
  private readonly maps: DenialMaps;
  private readonly page: Uint32Array;
  private readonly sets = new Map<number, readonly Uint8Array[]>();
  /** The start of each process that has an entry by `assign`, by its pid, until its exit is read. */
  private readonly assigned = new Map<number, number>();
  private readonly key = pinned(8);
  private readonly keyView = new DataView(this.key.buffer);
  private readonly value = pinned(deniedProcess.size);
  private readonly valueView = new DataView(this.value.buffer);
  private epoch = 0;

  constructor(maps: DenialMaps, page: Uint32Array) {
    this.maps = maps;
    this.page = page;
  }

  define(set: number, networks: readonly DeniedNetwork[]): void {
    const keys: Uint8Array[] = [];
    this.sets.set(set, keys);
    try {
      for (const network of networks) {
        const key = denyKeyOf(set, network);
        this.maps.deniedNetworks.set(key, pinnedCopy(portsValue(network.ports)));
        keys.push(key);
      }
    } catch (error) {
      this.remove(set);
      throw error;
    }
  }

  remove(set: number): void {
    for (const key of this.sets.get(set) ?? []) this.maps.deniedNetworks.delete(key);
    this.sets.delete(set);
  }

  assign(process: DeniedProcess, { set, afterExec }: DenySets): boolean {
    this.keyView.setBigUint64(0, BigInt(process.pid), true);
    if (set === 0 && afterExec === 0) {
      this.maps.deniedProcesses.delete(this.key);
      this.assigned.delete(process.pid);
      return true;
    }
    const { execId = NO_PROGRAM } = process;
    this.valueView.setBigUint64(deniedProcess.startTicks, BigInt(process.startTicks), true);
    this.valueView.setUint32(deniedProcess.execId, execId, true);
    this.valueView.setUint32(deniedProcess.epoch, this.epoch, true);
    this.valueView.setUint32(deniedProcess.set, set, true);
    this.valueView.setUint32(deniedProcess.afterExec, afterExec, true);
    const isTaken = this.maps.deniedProcesses.update(this.key, this.value);
    if (isTaken) {
      this.page[networkPage.denies >>> 2] = 1;
      this.assigned.set(process.pid, process.startTicks);
    }
    return isTaken;
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
    this.epoch = epoch >>> 0;
  }

  enforceEpoch(): void {
    this.page[networkPage.denyEpoch >>> 2] = this.epoch;
    waitForPrograms();
  }
}

function denyKeyOf(set: number, { kind, transport, network }: DeniedNetwork): Uint8Array<ArrayBuffer> {
  const key = pinned(denyKey.size);
  const view = new DataView(key.buffer);
  view.setUint32(denyKey.prefixLength, DENY_HEAD_BITS + network.prefix, true);
  view.setUint32(denyKey.set, set, true);
  view.setUint8(denyKey.kind, networkKinds.indexOf(kind));
  view.setUint8(denyKey.transport, transportNumbers[transport]);
  view.setUint8(denyKey.family, network.address.length === 4 ? 4 : 6);
  key.set(network.address, denyKey.address);
  return key;
}
