// raw tracepoint sched_process_exit(task[, group_dead]): runs in every thread that ends, after its exit code is set.
import {
  addTo,
  type Code,
  exit as end,
  fp,
  jump,
  jump32IfImm,
  label,
  load,
  movImm,
  r0,
  r1,
  r3,
  r6,
  r7,
  r8,
  storeImm,
} from "../../linux/bpf/assembler.ts";
import { begin, emit, follow, type ProgramMaps, readInto } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import { common, exit, kinds, shared } from "./record.ts";

/** include/linux/sched/signal.h: the group ends by exit_group(2) or by a signal, and group_exit_code says how. */
const SIGNAL_GROUP_EXIT = 4;

export function exitProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  const { task, signal, groupDeadArgument } = kernel;
  return [
    load(8, r6, r1, 0),
    groupDeadArgument === undefined
      ? // Before 6.16: no thread of the group lives. Two last threads that end at once may both see that; whoever
        // keeps processes takes the second report for what it is, as the pid cannot be another's yet.
        [follow(r8, r6, task.signal), follow(r0, r8, signal.live, 4), jump32IfImm(r0, "!=", 0, "others")]
      : [
          load(8, r0, r1, groupDeadArgument * 8),
          jump32IfImm(r0, "==", 0, "others"),
          follow(r8, r6, task.signal),
        ],

    addTo(r7, fp, -8 - exit.size),
    begin(kinds.exit),
    readInto(common.pid, 4, r6, task.tgid),

    // What wait(2) gives: the group's code, or the leader's if every thread left by itself.
    follow(r0, r8, signal.flags, 4),
    jump32IfImm(r0, "set", SIGNAL_GROUP_EXIT, "group"),
    follow(r8, r6, task.groupLeader),
    readInto(exit.status, 4, r8, task.exitCode),
    jump("write"),
    label("group"),
    readInto(exit.status, 4, r8, signal.groupExitCode),
    label("write"),
    // Nothing of the stack goes out unwritten.
    storeImm(4, r7, exit.status + 4, 0),

    emit(maps, movImm(r3, exit.size), shared.lostExits),

    label("others"),
    movImm(r0, 0),
    end,
  ];
}
