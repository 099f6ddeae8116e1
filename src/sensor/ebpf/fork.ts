// tracepoint sched_process_fork(parent, child): runs in the parent before the child can run.
import {
  addTo,
  aluImm,
  type Code,
  callHelper,
  fp,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  mov,
  movImm,
  r0,
  r1,
  r2,
  r3,
  r6,
  r7,
  r8,
  store,
} from "../../linux/bpf/assembler.ts";
import { helpers } from "../../linux/bpf/helpers.ts";
import { begin, claim, countLost, emit, enter, leave, type ProgramMaps } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import { commonLayout, forkLayout, recordKinds, sharedLayout } from "./layout.ts";
import { inheritClosedSet } from "./prevention/entries.ts";
import { inheritLineage, WAKEUP_STACK } from "./wakeup.ts";

const PARENT = 0;
const CHILD = 8; // second argument

// Below the words on the stack that code.ts and wakeup.ts use.
const PARENT_TASK = WAKEUP_STACK - 8;
const RECORD = PARENT_TASK - forkLayout.size;

export function forkProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  const { task, cred } = kernel;
  return [
    enter(maps),
    load(8, r6, r1, CHILD),
    load(8, r1, r1, PARENT),
    store(8, fp, PARENT_TASK, r1),

    // Skip threads: only the leader of a thread group has the group's id.
    load(4, r8, r6, task.pid),
    load(4, r0, r6, task.tgid),
    jumpIf(r0, "!=", r8, "thread"),
    [mov(r1, r0), load(8, r2, r6, task.startBoottime), claim(maps, recordKinds.fork, "taken")],
    maps.prevention === undefined ? [] : inheritClosedSet(kernel, maps.prevention, PARENT_TASK),

    addTo(r7, fp, RECORD),
    [load(4, r0, r6, task.tgid), store(4, r7, commonLayout.pid, r0)],
    begin(recordKinds.fork),
    // The caller of fork, even if CLONE_PARENT makes another process the parent.
    callHelper(helpers.currentPidTgid),
    aluImm("rsh", r0, 32),
    store(8, r7, forkLayout.parentPid, r0),
    [load(8, r0, r6, task.startBoottime), store(8, r7, forkLayout.start, r0)],
    load(8, r8, r6, task.cred),
    // Never null; see exec.ts.
    jumpIfImm(r8, "==", 0, "lost"),
    [load(4, r0, r8, cred.euid), store(4, r7, forkLayout.uid, r0)],
    [load(4, r0, r8, cred.uid), store(4, r7, forkLayout.realUid, r0)],
    [load(4, r0, r6, task.selfExecId), store(4, r7, forkLayout.execId, r0)],

    inheritLineage(kernel, maps, PARENT_TASK),
    emit(maps, movImm(r3, forkLayout.size), sharedLayout.lostForks),

    labelHere("lost"),
    countLost(maps, sharedLayout.lostForks),
    labelHere("thread"),
    labelHere("taken"),
    leave(maps),
  ];
}
