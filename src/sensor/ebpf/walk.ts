// Second half of an exec's record: the paths of the executable and of the working directory across mounts, as seen from
// the host's root. No helper returns a path to this type of program, so it walks up the directory entries, like d_path
// in fs/d_path.c, and writes the names from leaf to root. The verifier limits loops, so after STEPS names the program
// calls itself, up to the kernel's limit of 33 times. The environment comes last, after the wake-up was decided, because
// it is no part of the settle key.
import {
  aluImm,
  type Code,
  fp,
  jump,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  mov,
  movImm,
  r1,
  r3,
  r4,
  r6,
  r7,
  r8,
  r9,
  store,
  storeImm,
} from "../../linux/bpf/assembler.ts";
import {
  appendName,
  beginStep,
  callWalk,
  countLost,
  emit,
  enter,
  findScratch,
  leave,
  type ProgramMaps,
  setFlag,
} from "./code.ts";
import { readEnvironment } from "./environment.ts";
import { FieldSpace } from "./fields.ts";
import type { KernelLayout } from "./kernel.ts";
import {
  execLayout,
  FIELD_BYTES,
  recordFlags,
  recordLimit,
  sharedLayout,
  walkPhases,
  walkState,
} from "./layout.ts";
import { execWakeup, WAKEUP_STACK } from "./wakeup.ts";

/** Names and mount points handled before the program calls itself: 33 times 128 exceed two paths of PATH_MAX. */
const STEPS = 128;

// Words on the stack, below those of code.ts and wakeup.ts.
const CONTEXT = WAKEUP_STACK - 8;
const COUNTER = WAKEUP_STACK - 16;
/** Where the loop saves r9, as an offset from r7. */
const END = walkState.end - walkState.size;

// r6: directory entry, r7: record, r8: mount, r9: end of the record.
export function walkProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  const space = new FieldSpace(walkState.size, FIELD_BYTES);
  const dentry = space.fields({ name: [kernel.dentry.name, 8], parent: [kernel.dentry.parent, 8] });
  const mount = space.fields({
    root: [kernel.mount.root, 8],
    parent: [kernel.mount.parent, 8],
    mountpoint: [kernel.mount.mountpoint, 8],
  });
  const limit = recordLimit(maps.argsBytes);
  return [
    enter(maps),
    store(8, fp, CONTEXT, r1),
    findScratch(maps, "lost"),
    load(8, r6, r7, walkState.dentry - walkState.size),
    load(8, r8, r7, walkState.mount - walkState.size),
    storeImm(8, fp, COUNTER, STEPS),

    labelHere("mount"),
    mount.read(r8),

    labelHere("entry"),
    beginStep(END, limit, "cut"),
    load(8, r4, fp, COUNTER),
    jumpIfImm(r4, "==", 0, "again"),
    aluImm("sub", r4, 1),
    store(8, fp, COUNTER, r4),

    // At the root of a mount, continue at its mount point, unless it is the topmost mount.
    mount.get(r4, "root"),
    jumpIf(r6, "!=", r4, "name"),
    mount.get(r6, "mountpoint"),
    mount.get(r4, "parent"),
    jumpIf(r4, "==", r8, "path done"),
    mov(r8, r4),
    jump("mount"),

    labelHere("name"),
    dentry.read(r6),
    dentry.get(r3, "name"),
    appendName(END, "unnamed"),
    dentry.get(r4, "parent"),
    // Its own parent but not the root of its mount: it has no directory, or was moved out of a bind mount.
    jumpIf(r4, "==", r6, "nameless"),
    mov(r6, r4),
    // A null or stale pointer ends the walk as well, because both reads give zeros.
    jumpIfImm(r6, "!=", 0, "entry"),

    labelHere("nameless"),
    load(8, r4, r7, walkState.phase - walkState.size),
    jumpIfImm(r4, "!=", walkPhases.executable, "path done"),
    setFlag(execLayout.flags, recordFlags.nameless),
    jump("path done"),

    labelHere("again"),
    saveState(),
    callWalk(maps, CONTEXT),
    // The limit of calls is reached: the elements above are missing.
    labelHere("cut"),
    load(8, r4, r7, walkState.phase - walkState.size),
    jumpIfImm(r4, "==", walkPhases.cwd, "cwd cut"),
    setFlag(execLayout.flags, recordFlags.executableCut),
    jump("path done"),
    labelHere("cwd cut"),
    setFlag(execLayout.flags, recordFlags.cwdCut),

    labelHere("path done"),
    load(8, r9, r7, END),
    load(8, r4, r7, walkState.phase - walkState.size),
    jumpIfImm(r4, "==", walkPhases.cwd, "record done"),
    store(4, r7, execLayout.executableEnd, r9),
    store(4, r7, execLayout.cwdEnd, r9),
    movImm(r4, walkPhases.cwd),
    store(8, r7, walkState.phase - walkState.size, r4),
    load(8, r6, r7, walkState.cwdDentry - walkState.size),
    load(8, r8, r7, walkState.cwdMount - walkState.size),
    saveState(),
    callWalk(maps, CONTEXT),
    setFlag(execLayout.flags, recordFlags.cwdCut),
    labelHere("record done"),
    store(4, r7, execLayout.cwdEnd, r9),

    jumpIfImm(r9, ">", limit, "lost"),
    emit(maps, mov(r3, r9), sharedLayout.lostExecs, {
      wakeup: [
        execWakeup(kernel, maps, CONTEXT),
        readEnvironment(kernel, maps, { context: CONTEXT, free: COUNTER }, "lost"),
      ],
    }),

    labelHere("lost"),
    countLost(maps, sharedLayout.lostExecs),
    leave(maps),
  ];
}

function saveState(): Code {
  return [
    store(8, r7, walkState.dentry - walkState.size, r6),
    store(8, r7, walkState.mount - walkState.size, r8),
  ];
}
