// Refusing what a process may not do on the network, before anything is sent. A process points to a set, and a set to the
// networks that it denies; children inherit their parent's set. What the maps do not know is not refused: user space then
// judges the event.
import {
  addTo,
  alu,
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
  movImm,
  r0,
  r1,
  r2,
  r3,
  r4,
  r6,
  r7,
  r8,
  r9,
  store,
  storeImm,
  swap32,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import { type NetworkKind, networkKinds } from "../../../vocabulary/event-kinds.ts";
import { trieValue } from "../../network/filter-maps.ts";
import { enter, leave, lookUp, toTicks } from "../code.ts";
import { skipUnlessLast } from "../exit.ts";
import { commonLayout } from "../layout.ts";
import {
  copyAddress,
  countInPage,
  jumpIfListed,
  KEY,
  type NetworkMaps,
  prefixLength,
  readPage,
  VALUE,
} from "./code.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
import {
  DENY_BY_USER,
  DENY_HEAD_BITS,
  DENY_USER_BITS,
  DENY_USERS,
  deniedProcess,
  denyKey,
  networkPage,
  socketLayout,
} from "./layout.ts";

/**
 * Jumps to `denied` if the process of the record at r7, whose task is r9, is denied to do `kind` with the address and
 * port at these places of the record. `ofRestricted` is run before, for a process that is denied anything: it may lose r0 to
 * r5 and the value. Loses r0 to r5, key and value.
 */
export function jumpIfDenied(
  { task }: NetworkKernelLayout,
  maps: NetworkMaps,
  kind: NetworkKind,
  address: number,
  port: number,
  denied: string,
  ofRestricted: Code = [],
): Code {
  return [
    readPage(maps, r1, networkPage.denies),
    jumpIfImm(r1, "==", 0, "not denied"),
    [load(4, r1, r7, commonLayout.pid), store(8, fp, KEY, r1)],
    lookUp(maps.deniedProcesses, KEY),
    jumpIfImm(r0, "==", 0, "not denied"),

    [load(8, r1, r7, socketLayout.start), toTicks(r1)],
    [load(8, r2, r0, deniedProcess.startTicks), jumpIf(r1, "!=", r2, "not denied")],
    readPage(maps, r1, networkPage.denyEpoch),
    [load(4, r2, r0, deniedProcess.epoch), jumpIf(r2, "<", r1, "not denied")],
    [load(4, r1, r9, task.selfExecId), load(4, r2, r0, deniedProcess.execId)],
    load(4, r3, r0, deniedProcess.set),
    jumpIf(r1, "==", r2, "the same program"),
    load(4, r3, r0, deniedProcess.afterExec),
    labelHere("the same program"),
    jumpIfImm(r3, "==", 0, "not denied"),

    store(4, fp, KEY + denyKey.set, r3),
    ofRestricted,
    load(4, r3, fp, KEY + denyKey.set),
    jumpIfImm(r3, "set", DENY_BY_USER, "by user"),
    jump("the set"),
    labelHere("by user"),
    lookUpUser(maps, "not denied"),
    labelHere("the set"),
    storeImm(1, fp, KEY + denyKey.kind, networkKinds.indexOf(kind)),
    [load(1, r1, r7, socketLayout.transport), store(1, fp, KEY + denyKey.transport, r1)],
    [load(1, r1, r7, socketLayout.family), store(1, fp, KEY + denyKey.family, r1)],
    storeImm(1, fp, KEY + denyKey.unused, 0),
    copyAddress(KEY + denyKey.address, address),
    prefixLength(KEY + denyKey.prefixLength, DENY_HEAD_BITS),
    jumpIfListed(maps.deniedNetworks, port, "deny", "listed"),
    jump("not denied"),
    labelHere("listed"),
    jumpIfInTime(maps, denied),
    labelHere("not denied"),
  ];
}

/** Jumps to `inTime` unless no warden has reported for longer than the limit. Loses r0 to r5. */
function jumpIfInTime(maps: NetworkMaps, inTime: string): Code {
  return [
    [loadMapValue(r1, maps.page, networkPage.limit), load(8, r1, r1, 0), jumpIfImm(r1, "==", 0, inTime)],
    callHelper(helpers.ktimeGetNs),
    [loadMapValue(r1, maps.page, networkPage.limit), load(8, r1, r1, 0)],
    [loadMapValue(r2, maps.page, networkPage.beat), load(8, r2, r2, 0), alu("add", r1, r2)],
    jumpIf(r0, "<=", r1, inTime),
  ];
}

/** Replaces the set in the key, which has others by user, by that of the record's user; jumps to `none` without one. */
function lookUpUser(maps: NetworkMaps, none: string): Code {
  return [
    storeImm(4, fp, KEY + denyKey.prefixLength, DENY_HEAD_BITS + DENY_USER_BITS),
    storeImm(4, fp, KEY + denyKey.kind, DENY_USERS),
    [load(4, r1, r7, socketLayout.uid), swap32(r1), store(4, fp, KEY + denyKey.address, r1)],
    [4, 8, 12].map((at) => storeImm(4, fp, KEY + denyKey.address + at, 0)),
    lookUp(maps.deniedNetworks, KEY),
    jumpIfImm(r0, "==", 0, none),
    [load(4, r3, r0, trieValue.ranges), store(4, fp, KEY + denyKey.set, r3)],
  ];
}

const PARENT = 0;
const CHILD = 8; // second argument

/**
 * tracepoint sched_process_fork(parent, child): the child is denied what its parent is. Its entry carries the parent's
 * program, whose number in task_struct it has, too.
 */
export function inheritDenialProgram(kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  const { task } = kernel;
  return [
    enter(kernel),
    load(8, r6, r1, CHILD),
    load(8, r9, r1, PARENT),
    // A thread belongs to the process that has the entry.
    [load(4, r8, r6, task.pid), load(4, r1, r6, task.tgid), jumpIf(r1, "!=", r8, "end")],
    [load(4, r1, r9, task.tgid), store(8, fp, KEY, r1)],
    lookUp(maps.deniedProcesses, KEY),
    jumpIfImm(r0, "==", 0, "end"),
    [load(8, r1, r9, task.groupLeader), load(8, r1, r1, task.startBoottime), toTicks(r1)],
    [load(8, r2, r0, deniedProcess.startTicks), jumpIf(r1, "!=", r2, "end")],

    [load(8, r1, r6, task.startBoottime), toTicks(r1)],
    store(8, fp, VALUE + deniedProcess.startTicks, r1),
    [load(8, r1, r0, deniedProcess.execId), store(8, fp, VALUE + deniedProcess.execId, r1)],
    [load(8, r1, r0, deniedProcess.set), store(8, fp, VALUE + deniedProcess.set, r1)],
    store(8, fp, KEY, r8),
    [loadMap(r1, maps.deniedProcesses), addTo(r2, fp, KEY), addTo(r3, fp, VALUE), movImm(r4, 0)],
    callHelper(helpers.mapUpdate),
    jumpIfImm(r0, "==", 0, "end"),
    countInPage(maps, networkPage.full),
    labelHere("end"),
    leave(kernel),
  ];
}

/** tracepoint sched_process_exit(task[, group_dead]): the entry of a process ends with it. */
export function endDenialProgram(kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  return [
    enter(kernel),
    load(8, r6, r1, PARENT),
    skipUnlessLast(kernel, "end"),
    [load(4, r1, r6, kernel.task.tgid), store(8, fp, KEY, r1)],
    [loadMap(r1, maps.deniedProcesses), addTo(r2, fp, KEY), callHelper(helpers.mapDelete)],
    labelHere("end"),
    leave(kernel),
  ];
}
