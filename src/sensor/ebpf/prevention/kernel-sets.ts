// The sets of files that closed processes may execute, in the maps of the programs: their exceptions, and how many execs
// each has ended.
import { pinned } from "../../../linux/bpf/syscall.ts";
import {
  type ClosedSet,
  type ClosedSets,
  type FileIdentity,
  SETTLED_NS,
} from "../../prevention/closed-set.ts";
import { closedSetLayout, exceptionKey, exceptionValue, preventionPage, setFlags } from "./layout.ts";
import type { ClosedSetMaps } from "./maps.ts";

const NS_PER_SECOND = 1_000_000_000n;

export class KernelSets {
  private readonly maps: ClosedSetMaps;
  /** The highest number that an earlier process has used in these maps; the numbers of this process begin above it. */
  private readonly numbersBefore: number;
  /** The keys of the exceptions of each set that is in force, by the number of the set. */
  private readonly defined = new Map<number, Uint8Array[]>();
  /** How many execs the sets had ended that were removed since the last call of `takePrevented`, by set. */
  private readonly removed = new Map<number, number>();
  private readonly key = pinned(4);
  private readonly value = pinned(closedSetLayout.size);

  /** `isInherited`: the maps have sets of an earlier process. */
  constructor(maps: ClosedSetMaps, isInherited: boolean) {
    this.maps = maps;
    this.numbersBefore = isInherited ? (maps.shared.words[preventionPage.lastSet >>> 2] ?? 0) : 0;
  }

  /** The number of a set in the kernel: above those of an earlier process, except 0, which is no set. */
  numberOf(set: number): number {
    return set === 0 ? 0 : this.numbersBefore + set;
  }

  /** As `Prevention.define`. */
  define(set: number, { ofUser, carriersDie, identifiedAt, countedAs, exceptions }: ClosedSet): void {
    const keys: Uint8Array[] = [];
    this.defined.set(set, keys);
    raiseWord(this.maps.shared.words, preventionPage.lastSet, this.numberOf(set));
    try {
      for (const { file, next } of exceptions) this.addException(set, keys, file, next);
      // The programs do not end a file that was changed at that time or later.
      const since = identifiedAt - SETTLED_NS;
      const value = pinned(closedSetLayout.size);
      const view = new DataView(value.buffer);
      view.setBigInt64(closedSetLayout.identifiedAt, since / NS_PER_SECOND, true);
      view.setUint32(closedSetLayout.identifiedAtNanoseconds, Number(since % NS_PER_SECOND), true);
      const flags = (ofUser ? setFlags.user : 0) | (carriersDie ? setFlags.carriersDie : 0);
      view.setUint32(closedSetLayout.flags, flags, true);
      view.setUint32(closedSetLayout.countedAs, countedAs, true);
      this.maps.sets.set(this.keyOf(set), value);
    } catch (error) {
      this.remove(set);
      throw error;
    }
  }

  remove(set: number): void {
    const prevented = this.preventedBy(set);
    if (prevented > 0) this.removed.set(set, prevented);
    this.maps.sets.delete(this.keyOf(set));
    for (const key of this.defined.get(set) ?? []) this.maps.exceptions.delete(key);
    this.defined.delete(set);
  }

  /** Removes what an earlier process has defined. */
  removeInherited(): void {
    const own = new Set([...this.defined.keys()].map((set) => this.numberOf(set)));
    for (const key of this.maps.sets.keys()) if (!own.has(setIn(key))) this.maps.sets.delete(key);
    for (const key of this.maps.exceptions.keys()) if (!own.has(setIn(key))) this.maps.exceptions.delete(key);
  }

  /** How many execs each set has ended, by set; a set that was removed since the last call is there once more. */
  takePrevented(): Map<number, number> {
    const prevented = new Map(this.removed);
    this.removed.clear();
    for (const set of this.defined.keys()) {
      const count = this.preventedBy(set);
      if (count > 0) prevented.set(set, count);
    }
    return prevented;
  }

  private keyOf(set: number): Uint8Array {
    new DataView(this.key.buffer).setUint32(0, this.numberOf(set), true);
    return this.key;
  }

  private preventedBy(set: number): number {
    if (!this.maps.sets.lookup(this.keyOf(set), this.value)) return 0;
    return Number(new DataView(this.value.buffer).getBigUint64(closedSetLayout.prevented, true));
  }

  /** Throws a SystemCallError if the kernel has no room. */
  private addException(
    set: number,
    keys: Uint8Array[],
    file: FileIdentity,
    { own, child }: ClosedSets,
  ): void {
    const key = exceptionKeyOf(this.numberOf(set), file);
    const value = pinned(exceptionValue.size);
    const view = new DataView(value.buffer);
    view.setUint32(exceptionValue.own, this.numberOf(own), true);
    view.setUint32(exceptionValue.child, this.numberOf(child), true);
    this.maps.exceptions.set(key, value);
    keys.push(key);
  }
}

/** Sets a u32 of the page to `value`, unless it is higher already. */
export function raiseWord(words: Uint32Array, field: number, value: number): void {
  words[field >>> 2] = Math.max(words[field >>> 2] ?? 0, value);
}

/** The set that a key of the map of sets, or of exceptions, begins with. */
function setIn(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset).getUint32(exceptionKey.set, true);
}

function exceptionKeyOf(set: number, file: FileIdentity): Uint8Array {
  const key = pinned(exceptionKey.size);
  const view = new DataView(key.buffer);
  view.setUint32(exceptionKey.set, set, true);
  view.setUint32(exceptionKey.device, file.device, true);
  view.setBigUint64(exceptionKey.inode, file.inode, true);
  view.setBigInt64(exceptionKey.changed, file.changed, true);
  view.setUint32(exceptionKey.changedNanoseconds, file.changedNanoseconds, true);
  view.setUint32(exceptionKey.generation, file.generation, true);
  view.setBigUint64(exceptionKey.filesystem, BigInt(file.filesystem), true);
  return key;
}
