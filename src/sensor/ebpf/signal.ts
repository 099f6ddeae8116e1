// tracepoint signal_generate(signal, siginfo, task, group, result): runs in the process that makes the signal, before it
// is delivered.
// It records those that a process other than treewarden's own makes for one of these.
import {
  addTo,
  alu,
  aluImm,
  atomicAdd,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jump,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMapValue,
  movImm,
  r0,
  r1,
  r2,
  r3,
  r6,
  r7,
  r8,
  r9,
  store,
} from "../../linux/bpf/assembler.ts";
import { helpers } from "../../linux/bpf/helpers.ts";
import { begin, countLost, emit, enter, leave, type ProgramMaps } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import {
  commonLayout,
  SIGNAL_RECORD,
  sharedLayout,
  signalLayout,
  WAITING_SIGNALS,
  WATCHED_PIDS,
} from "./layout.ts";

/** Offsets of the tracepoint's arguments. */
const SIGNAL = 0;
const SIGINFO = 8;
const TASK = 16;

/** asm-generic/signal.h: nearly every process that ends makes one. */
const SIGCHLD = 17;
/** asm-generic/siginfo.h: of struct siginfo, and a signal of the kernel's own. */
const SI_CODE = 8;
const SI_KERNEL = 0x80;

/** More than any ring has. */
const EVERYTHING = 0x7fff_ffff;

/** Below the scratch word that code.ts uses. */
const RECORD = -8 - signalLayout.size;
const CODE = RECORD - 8;

export function signalProgram({ task }: KernelLayout, maps: ProgramMaps): Code {
  return [
    load(8, r8, r1, SIGNAL),
    jumpIfImm(r8, "!=", SIGCHLD, "wanted"),
    [movImm(r0, 0), exitInstruction],

    labelHere("wanted"),
    enter(maps),
    load(8, r8, r1, SIGNAL),
    load(8, r6, r1, TASK),
    load(4, r9, r6, task.tgid),
    load(8, r6, r1, SIGINFO),
    addTo(r7, fp, RECORD),
    compareWatched(maps, "watched"),
    jump("others"),

    labelHere("watched"),
    store(4, r7, commonLayout.pid, r9),
    store(4, r7, signalLayout.signal, r8),
    [callHelper(helpers.currentPidTgid), aluImm("rsh", r0, 32), store(4, r7, signalLayout.senderPid, r0)],
    load(4, r9, r7, signalLayout.senderPid),
    compareWatched(maps, "others"),
    [callHelper(helpers.currentUidGid), store(4, r7, signalLayout.senderUid, r0)],

    // Without siginfo the pointer is 0 (the caller's own signal) or 1 (the kernel's), include/linux/sched/signal.h.
    movImm(r8, 0),
    jumpIfImm(r6, "==", 0, "coded"),
    addTo(r1, fp, CODE),
    movImm(r2, 4),
    addTo(r3, r6, SI_CODE),
    callHelper(helpers.probeReadKernel),
    movImm(r8, SI_KERNEL),
    jumpIfImm(r0, "!=", 0, "coded"),
    load(4, r8, fp, CODE),
    labelHere("coded"),
    store(4, r7, signalLayout.code, r8),

    skipUnlessFew(maps, "too many"),
    begin(SIGNAL_RECORD),
    emit(maps, movImm(r3, signalLayout.size), sharedLayout.lostSignals, { room: EVERYTHING }),

    labelHere("too many"),
    countLost(maps, sharedLayout.lostSignals),
    labelHere("others"),
    leave(maps),
  ];
}

/** Counts the signal, and jumps to `tooMany` if as many as may wait were made since the ring was emptied. Loses r0 to r2. */
function skipUnlessFew(maps: ProgramMaps, tooMany: string): Code {
  return [
    loadMapValue(r1, maps.shared, sharedLayout.signalsMade),
    [load(4, r0, r1, 0), load(4, r2, r1, sharedLayout.signalsRead - sharedLayout.signalsMade)],
    [alu("sub", r0, r2), aluImm("lsh", r0, 32), aluImm("rsh", r0, 32)],
    jumpIfImm(r0, ">=", WAITING_SIGNALS, tooMany),
    [movImm(r2, 1), atomicAdd(8, r1, 0, r2)],
  ];
}

/** Jumps to `target` if the thread group r9 is one of the watched; otherwise goes on. Loses r0 and r1. */
function compareWatched(maps: ProgramMaps, target: string): Code {
  return [
    loadMapValue(r1, maps.shared, sharedLayout.watched),
    Array.from({ length: WATCHED_PIDS }, (_, i) => [load(4, r0, r1, 4 * i), jumpIf(r0, "==", r9, target)]),
  ];
}
