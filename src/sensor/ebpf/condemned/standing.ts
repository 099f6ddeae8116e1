// The programs that have a process stand still which was stopped: what would continue it is refused, and what cannot be
// refused is followed by another stop before the process is back in user mode.
import {
  atomicAdd,
  type Code,
  callHelper,
  callKernel,
  exitInstruction,
  jump32IfImm,
  jumpIfImm,
  labelHere,
  load,
  type MapReference,
  mov,
  movImm,
  type Register,
  r0,
  r1,
  r6,
  r7,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import { enter, leave } from "../code.ts";
import type { KernelLayout } from "../kernel.ts";
import { type CondemnedProgram, findEntry, signalTask } from "./code.ts";
import { condemnedProcess, condemnedSignals } from "./layout.ts";

/** asm-generic/signal.h */
const SIGCONT = 18;
/** asm-generic/errno-base.h */
const EPERM = 1;
/** linux/ptrace.h: also /proc/PID/mem, process_vm_writev(2) and pidfd_getfd(2). */
const PTRACE_MODE_ATTACH = 2;

const allow: Code = [movImm(r0, 0), exitInstruction];

/**
 * security_task_kill(task, siginfo, signal, cred): nobody sends SIGCONT to a process that is to stand still, by whatever
 * system call; kill(2) and the like fail with EPERM. The kernel does not ask this about signals that it makes itself.
 */
export const refuseContinueProgram: CondemnedProgram = (kernel, condemned) => [
  // An int: the upper half of the register that it was passed in is not defined.
  load(8, r7, r1, 16),
  jump32IfImm(r7, "!=", SIGCONT, "other signal"),
  enter(kernel),
  load(8, r6, r1, 0),
  findStanding(kernel, condemned, r6, "others"),
  countContinued(),
  refuse(kernel),
  labelHere("others"),
  leave(kernel),
  labelHere("other signal"),
  allow,
];

/**
 * security_ptrace_access_check(task, mode): nobody but root of the host begins to trace a process that is to stand still,
 * or reaches its memory or descriptors.
 */
export const refuseTracerProgram: CondemnedProgram = (kernel, condemned) => [
  load(8, r7, r1, 8),
  jump32IfImm(r7, "set", PTRACE_MODE_ATTACH, "attaches"),
  allow,
  labelHere("attaches"),
  enter(kernel),
  load(8, r6, r1, 0),
  [callHelper(helpers.currentUidGid), jump32IfImm(r0, "==", 0, "others")],
  findStanding(kernel, condemned, r6, "others"),
  refuse(kernel),
  labelHere("others"),
  leave(kernel),
];

/**
 * tracepoint signal_generate(signal, siginfo, task, group, result): SIGCONT that was not refused: of a timer of the
 * process's own, say. The kernel holds the lock of the process's signals here, so it sends the next stop right after, and
 * the process may run for some microseconds where `stayStoppedProgram` cannot be had.
 */
export const stopAgainProgram: CondemnedProgram = (kernel, condemned) => [
  load(8, r6, r1, 0),
  jumpIfImm(r6, "!=", SIGCONT, "other signal"),
  enter(kernel),
  load(8, r6, r1, 16),
  findStanding(kernel, condemned, r6, "end"),
  countContinued(),
  movImm(r7, condemnedSignals.SIGSTOP),
  signalTask(kernel, r6, r7),
  labelHere("end"),
  leave(kernel),
  labelHere("other signal"),
  allow,
];

/**
 * tracepoint sched_exit_tp(is switch): runs in a process that has got a CPU, or keeps it, because it was woken before it had
 * lost it. It is still in the kernel. One that is to stand still has been woken by something, a tracer included, and is
 * stopped again: the kernel looks for signals before it goes back to user mode. Only another SIGCONT in that very moment
 * takes this stop back. Preemption is off here.
 */
export const stayStoppedProgram: CondemnedProgram = (kernel, condemned) => [
  [callHelper(helpers.currentTask), mov(r6, r0)],
  findStanding(kernel, condemned, r6, "end"),
  [movImm(r1, condemnedSignals.SIGSTOP), callHelper(helpers.sendSignal)],
  labelHere("end"),
  allow,
];

/** Sets r0 to the entry of `task`, and jumps to `others` unless it is to stand still. Loses r1 to r5. */
function findStanding(kernel: KernelLayout, condemned: MapReference, task: Register, others: string): Code {
  return [
    findEntry(kernel, condemned, task, others),
    [load(8, r1, r0, condemnedProcess.signal), jumpIfImm(r1, "!=", condemnedSignals.SIGSTOP, others)],
  ];
}

/** Counts in the entry at r0. Loses r1. */
function countContinued(): Code {
  return [movImm(r1, 1), atomicAdd(8, r0, condemnedProcess.continued, r1)];
}

/** Ends a program that `enter` began, with a refusal. */
function refuse({ preemption }: KernelLayout): Code {
  return [
    preemption === undefined ? [] : callKernel(preemption.enable),
    [movImm(r0, -EPERM), exitInstruction],
  ];
}
