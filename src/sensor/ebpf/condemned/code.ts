// The programs that carry a signal on: to children that a condemned process forks, and to what it executes. A kill or a
// stop by user space takes effect some 200 us after an exec is recorded; what is forked meanwhile would run until its
// fork is read.
import {
  addTo,
  type Code,
  callHelper,
  callKernel,
  fp,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMap,
  type MapReference,
  mov,
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
  r9,
  store,
  storeImm,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import { enter, leave, lookUp, toTicks } from "../code.ts";
import { skipUnlessLast } from "../exit.ts";
import type { KernelLayout } from "../kernel.ts";
import { condemnedProcess } from "./layout.ts";

const KEY = -8;
const VALUE = KEY - condemnedProcess.size;

/** include/linux/pid_types.h (pid.h before 6.8): the signal is for the whole thread group. */
const PIDTYPE_TGID = 1;
export type CondemnedProgram = (kernel: KernelLayout, condemned: MapReference) => Code;

/**
 * Sets r0 to the entry of the thread group of the task at `task`, and jumps to `missing` if it has none, or if its entry
 * is of an earlier process with its pid. Loses r1 to r5.
 */
export function findEntry(
  { task }: KernelLayout,
  condemned: MapReference,
  of: Register,
  missing: string,
): Code {
  return [
    [load(4, r1, of, task.tgid), store(8, fp, KEY, r1)],
    lookUp(condemned, KEY),
    jumpIfImm(r0, "==", 0, missing),
    load(8, r1, of, task.groupLeader),
    [load(8, r1, r1, task.startBoottime), toTicks(r1)],
    load(8, r2, r0, condemnedProcess.startTicks),
    jumpIf(r1, "!=", r2, missing),
  ];
}

/** Sends the signal in `signal` to the thread group of `task`, where the kernel can. Loses r0 to r5. */
export function signalTask({ signalTask: type }: KernelLayout, task: Register, signal: Register): Code {
  if (type === undefined) return [];
  return [mov(r1, task), mov(r2, signal), movImm(r3, PIDTYPE_TGID), movImm(r4, 0), callKernel(type)];
}

/**
 * tracepoint sched_process_fork(parent, child): a child is condemned like its parent, and is signalled before it runs. Where
 * the kernel cannot signal another task than the current one, the child is signalled at its next exec, or by user space.
 */
export const condemnedForkProgram: CondemnedProgram = (kernel, condemned) => {
  const { task } = kernel;
  return [
    enter(kernel),
    [load(8, r6, r1, 8), load(8, r9, r1, 0)],
    // A thread belongs to the process that has the entry.
    [load(4, r8, r6, task.pid), load(4, r1, r6, task.tgid), jumpIf(r1, "!=", r8, "end")],
    findEntry(kernel, condemned, r9, "end"),
    load(8, r7, r0, condemnedProcess.signal),
    store(8, fp, VALUE + condemnedProcess.signal, r7),
    storeImm(8, fp, VALUE + condemnedProcess.continued, 0),
    [load(8, r1, r6, task.startBoottime), toTicks(r1)],
    store(8, fp, VALUE + condemnedProcess.startTicks, r1),
    store(8, fp, KEY, r8),
    [loadMap(r1, condemned), addTo(r2, fp, KEY), addTo(r3, fp, VALUE), movImm(r4, 0)],
    callHelper(helpers.mapUpdate),
    signalTask(kernel, r6, r7),
    labelHere("end"),
    leave(kernel),
  ];
};

/** tracepoint sched_process_exec(task, old pid, linux_binprm): the program gets the signal before its first instruction. */
export const condemnedExecProgram: CondemnedProgram = (kernel, condemned) => [
  enter(kernel),
  load(8, r6, r1, 0),
  findEntry(kernel, condemned, r6, "end"),
  [load(8, r1, r0, condemnedProcess.signal), callHelper(helpers.sendSignal)],
  labelHere("end"),
  leave(kernel),
];

/** tracepoint sched_process_exit(task[, group_dead]): the entry of a process ends with it. */
export const condemnedExitProgram: CondemnedProgram = (kernel, condemned) => [
  enter(kernel),
  load(8, r6, r1, 0),
  skipUnlessLast(kernel, "end"),
  [load(4, r1, r6, kernel.task.tgid), store(8, fp, KEY, r1)],
  [loadMap(r1, condemned), addTo(r2, fp, KEY), callHelper(helpers.mapDelete)],
  labelHere("end"),
  leave(kernel),
];
