// tracepoint sched_process_fork(parent, child): runs in the parent, before the child may run.
import {
  addTo,
  aluImm,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  movImm,
  r0,
  r1,
  r3,
  r6,
  r7,
  r8,
  store,
  storeImm,
} from "../../linux/bpf/assembler.ts";
import { helpers } from "../../linux/bpf/helpers.ts";
import { begin, countLost, emit, type ProgramMaps } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import { commonLayout, forkLayout, recordKinds, sharedLayout } from "./layout.ts";
import { inheritLineage } from "./wakeup.ts";

const CHILD = 8; // second argument

// The record is built on the stack, below what the pieces of code.ts and wakeup.ts use.
const RECORD = -24 - forkLayout.size;

export function forkProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  const { task, cred } = kernel;
  return [
    load(8, r6, r1, CHILD),
    addTo(r7, fp, RECORD),

    // A thread is no process: only the first of a group has the group's number.
    load(4, r8, r6, task.pid),
    load(4, r0, r6, task.tgid),
    jumpIf(r0, "!=", r8, "thread"),
    store(4, r7, commonLayout.pid, r0),

    begin(recordKinds.fork),
    // Who called fork, which CLONE_PARENT may not have made the parent.
    callHelper(helpers.currentPidTgid),
    aluImm("rsh", r0, 32),
    store(8, r7, forkLayout.parentPid, r0),
    [load(8, r0, r6, task.startBoottime), store(8, r7, forkLayout.start, r0)],
    load(8, r8, r6, task.cred),
    // See exec.ts.
    jumpIfImm(r8, "==", 0, "lost"),
    [load(4, r0, r8, cred.euid), store(4, r7, forkLayout.uid, r0)],
    [load(4, r0, r8, cred.uid), store(4, r7, forkLayout.realUid, r0)],
    // Nothing of the stack goes out unwritten.
    storeImm(4, r7, forkLayout.realUid + 4, 0),

    inheritLineage(maps, load(4, r0, r7, forkLayout.parentPid), load(4, r0, r7, commonLayout.pid)),
    emit(maps, movImm(r3, forkLayout.size), sharedLayout.lostForks),

    labelHere("lost"),
    countLost(maps, sharedLayout.lostForks),
    labelHere("thread"),
    movImm(r0, 0),
    exitInstruction,
  ];
}
