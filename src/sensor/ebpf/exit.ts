// tracepoint sched_process_exit(task[, group_dead]): runs in every thread that ends, after its exit
// code is set.
import {
  addTo,
  type Code,
  fp,
  jump,
  jump32IfImm,
  labelHere,
  load,
  movImm,
  r0,
  r1,
  r2,
  r3,
  r6,
  r7,
  r8,
  store,
  storeImm,
} from "../../linux/bpf/assembler.ts";
import { begin, claim, emit, enter, leave, type ProgramMaps } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import { commonLayout, exitLayout, recordKinds, sharedLayout } from "./layout.ts";
import { forgetClosedSet } from "./prevention/entries.ts";
import { forgetLineage, WAKEUP_STACK } from "./wakeup.ts";

/** include/linux/sched/signal.h: the group ends by exit_group(2) or by a signal; group_exit_code has the status. */
const SIGNAL_GROUP_EXIT = 4;

/** What `skipUnlessLast` needs of a kernel's layout. */
interface GroupLayout {
  readonly task: { readonly signal: number };
  readonly signal: { readonly live: number };
  readonly groupDeadArgument: number | undefined;
}

/** With the context in r1 and the task in r6: jumps to `others` if other threads of the group live. Loses r0, r8. */
export function skipUnlessLast({ task, signal, groupDeadArgument }: GroupLayout, others: string): Code {
  return groupDeadArgument === undefined
    ? // Before 6.16, test that no thread of the group lives. Several exiting threads may see this, so an exit
      // may be reported more than once (on 6.1, one exit in ten of programs that join their threads). The forest
      // ignores the second report, because the pid cannot have been reused yet.
      [load(8, r8, r6, task.signal), load(4, r0, r8, signal.live), jump32IfImm(r0, "!=", 0, others)]
    : [load(8, r0, r1, groupDeadArgument * 8), jump32IfImm(r0, "==", 0, others)];
}

export function exitProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  const { task, signal } = kernel;
  return [
    enter(maps),
    load(8, r6, r1, 0),
    skipUnlessLast(kernel, "others"),
    [load(4, r1, r6, task.tgid), load(8, r2, r6, task.startBoottime), claim(maps, recordKinds.exit, "taken")],
    load(8, r8, r6, task.signal),
    maps.prevention === undefined ? [] : forgetClosedSet(kernel, maps.prevention, WAKEUP_STACK),

    addTo(r7, fp, WAKEUP_STACK - exitLayout.size),
    begin(recordKinds.exit),
    [load(4, r0, r6, task.tgid), store(4, r7, commonLayout.pid, r0)],

    // The status of wait(2): the group's code, or the leader's if every thread exited by itself.
    load(4, r0, r8, signal.flags),
    jump32IfImm(r0, "set", SIGNAL_GROUP_EXIT, "group"),
    load(8, r8, r6, task.groupLeader),
    load(4, r0, r8, task.exitCode),
    jump("write"),
    labelHere("group"),
    load(4, r0, r8, signal.groupExitCode),
    labelHere("write"),
    store(4, r7, exitLayout.status, r0),
    // Clear the padding, so that no stack memory leaks.
    storeImm(4, r7, exitLayout.status + 4, 0),

    forgetLineage(maps),
    emit(maps, movImm(r3, exitLayout.size), sharedLayout.lostExits),

    labelHere("others"),
    labelHere("taken"),
    leave(maps),
  ];
}
