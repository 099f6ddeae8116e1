// Entries of closed processes in the fork, exec and exit programs. A child has an entry before it can run, and an entry ends
// with the program of its process. How many there are is counted, so that no user can take the room of others.
import {
  addTo,
  alu,
  atomicAdd,
  type Code,
  callHelper,
  fp,
  jump,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMap,
  loadMapValue,
  type MapReference,
  movImm,
  type Register,
  r0,
  r1,
  r2,
  r3,
  r4,
  r6,
  r7,
  r8,
  store,
  storeImm,
} from "../../../linux/bpf/assembler.ts";
import { BPF_NOEXIST, helpers } from "../../../linux/bpf/helpers.ts";
import { lookUp, toTicks } from "../code.ts";
import type { KernelLayout } from "../kernel.ts";
import { closedKey, closedProcess, preventionPage } from "./layout.ts";

/** The maps of prevention, as the programs refer to them. */
export interface PreventionMaps {
  /** Hash of closed processes, see `closedKey`. */
  readonly closed: MapReference;
  /** Hash of sets, see `closedSetLayout`. */
  readonly sets: MapReference;
  /** Hash of the exceptions of all sets, see `exceptionKey`. */
  readonly exceptions: MapReference;
  /** Trie of the names of carriers, see `carrierKey`. */
  readonly carriers: MapReference;
  /** LRU hash of files that were ended lately. The key is an `exceptionKey` with `closedSetLayout.countedAs` as its set. */
  readonly ended: MapReference;
  /** Array, see `allowanceLayout`. */
  readonly allowances: MapReference;
  /** An array of one value, see `preventionPage`. */
  readonly page: MapReference;
}

/** linux/errno-base.h */
const EEXIST = 17;

/** Adds `change` to a counter of the page. Loses r1 and r2. */
export function addToCounter({ page }: PreventionMaps, counter: number, change = 1): Code {
  return [loadMapValue(r1, page, counter), movImm(r2, change), atomicAdd(8, r1, 0, r2)];
}

/** Writes the key of the program that the task in register `of` runs to the stack at `place`. Loses r1. */
export function closedKeyOf({ task }: KernelLayout, of: Register, place: number): Code {
  return [
    [load(4, r1, of, task.tgid), store(4, fp, place + closedKey.pid, r1)],
    [load(4, r1, of, task.selfExecId), store(4, fp, place + closedKey.execId, r1)],
  ];
}

/** Removes the entry whose key is on the stack at `key`. `name` makes the labels unique. Loses r0 to r5. */
export function removeEntry(maps: PreventionMaps, key: number, name: string): Code {
  return [
    loadMap(r1, maps.closed),
    addTo(r2, fp, key),
    callHelper(helpers.mapDelete),
    jumpIfImm(r0, "!=", 0, `${name}: none`),
    addToCounter(maps, preventionPage.used, -1),
    labelHere(`${name}: none`),
  ];
}

/** Adds the entry whose key and value are on the stack, or counts in `full` that there is no room. Loses r0 to r5. */
export function addEntry(maps: PreventionMaps, key: number, value: number): Code {
  const update = (flags: number): Code => [
    loadMap(r1, maps.closed),
    addTo(r2, fp, key),
    addTo(r3, fp, value),
    movImm(r4, flags),
    callHelper(helpers.mapUpdate),
  ];
  return [
    update(BPF_NOEXIST),
    jumpIfImm(r0, "==", 0, "entry: new"),
    jumpIfImm(r0, "!=", -EEXIST, "entry: no room"),
    // There is an entry that user space wrote for a process that had ended, and whose pid is used again.
    update(0),
    jumpIfImm(r0, "==", 0, "entry: done"),
    labelHere("entry: no room"),
    addToCounter(maps, preventionPage.full),
    jump("entry: done"),
    labelHere("entry: new"),
    addToCounter(maps, preventionPage.used),
    labelHere("entry: done"),
  ];
}

/**
 * For the fork program: a child whose task is r6 gets the set for the children of its parent, whose task is saved on the
 * stack at `parent`. Uses the stack below that. Loses r0 to r5, r7 and r8.
 */
export function inheritClosedSet(kernel: KernelLayout, maps: PreventionMaps, parent: number): Code {
  const { task, cred } = kernel;
  const key = parent - closedKey.size;
  const value = key - closedProcess.size;
  return [
    load(8, r8, fp, parent),
    closedKeyOf(kernel, r8, key),
    lookUp(maps.closed, key),
    jumpIfImm(r0, "==", 0, "not closed"),
    // The start is read last. If the entry was replaced meanwhile, the start is that of another process.
    [load(4, r1, r0, closedProcess.epoch), store(4, fp, value + closedProcess.epoch, r1)],
    [load(4, r1, r0, closedProcess.child), store(4, fp, value + closedProcess.own, r1)],
    store(4, fp, value + closedProcess.child, r1),
    [load(4, r2, r0, closedProcess.payers), store(4, fp, value + closedProcess.payers, r2)],
    jumpIfImm(r1, "==", 0, "not closed"),
    [load(4, r1, r0, closedProcess.uid), store(4, fp, value + closedProcess.uid, r1)],
    [load(8, r2, r8, task.groupLeader), load(8, r2, r2, task.startBoottime), toTicks(r2)],
    [load(8, r1, r0, closedProcess.startTicks), jumpIf(r1, "!=", r2, "not closed")],

    [load(8, r1, r6, task.startBoottime), toTicks(r1), store(8, fp, value + closedProcess.startTicks, r1)],
    storeImm(4, fp, value + closedProcess.unused, 0),
    closedKeyOf(kernel, r6, key),

    load(8, r1, r6, task.cred),
    // Never null; see exec.ts.
    jumpIfImm(r1, "==", 0, "room"),
    [load(4, r1, r1, cred.uid), jumpIfImm(r1, "==", 0, "room")],
    loadMapValue(r7, maps.page),
    [load(8, r1, r7, preventionPage.used), load(8, r2, r7, preventionPage.usedByUser)],
    [alu("add", r1, r2), load(8, r2, r7, preventionPage.share)],
    jumpIf(r1, "s<=", r2, "room"),
    addToCounter(maps, preventionPage.full),
    jump("not closed"),
    labelHere("room"),
    addEntry(maps, key, value),
    labelHere("not closed"),
  ];
}

/**
 * For the exit program: removes the entry of the process whose last thread is the task r6. Uses the stack below `top`. Loses r0
 * to r5.
 */
export function forgetClosedSet(kernel: KernelLayout, maps: PreventionMaps, top: number): Code {
  const key = top - closedKey.size;
  return [
    closedKeyOf(kernel, r6, key),
    // Most processes have none, and a deletion takes a lock, which a lookup does not.
    [lookUp(maps.closed, key), jumpIfImm(r0, "==", 0, "nothing closed")],
    removeEntry(maps, key, "exit"),
    labelHere("nothing closed"),
  ];
}
