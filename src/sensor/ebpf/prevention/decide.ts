// Decides at an exec of a closed process whether the program dies before its first instruction. The answer depends on nothing
// but the sets of the process and what the kernel knows for certain of the file. docs/prevention.md, "How a file is answered",
// has it as a table; the steps here follow its rows.
//
// Registers: r6 is the task, r7 the value of the set (closedSetLayout), r8 the linux_binprm, r9 the struct file. Parameters named
// key, entry, file, name and verdict are offsets on the stack, relative to the frame pointer.
import {
  addTo,
  alu,
  aluImm,
  atomicAdd,
  type Code,
  callHelper,
  fp,
  jump,
  jump32IfImm,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMapValue,
  mov,
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
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import { remoteFileSystems } from "../../prevention/file-systems.ts";
import { follow, lookUp, toTicks } from "../code.ts";
import type { KernelLayout } from "../kernel.ts";
import { recordFlags } from "../layout.ts";
import { CHARGE_STACK, chargeEnd } from "./allowances.ts";
import { addEntry, addToCounter, closedKeyOf, type PreventionMaps, removeEntry } from "./entries.ts";
import { readFileKey } from "./file.ts";
import { openElsewhere } from "./file-place.ts";
import {
  CARRIER_NAME_BYTES,
  carrierKey,
  closedKey,
  closedProcess,
  closedSetLayout,
  exceptionKey,
  exceptionValue,
  preventionPage,
  setFlags,
} from "./layout.ts";

const SIGKILL = 9;
/** S_IWGRP and S_IWOTH of linux/stat.h. */
const WRITABLE_BY_OTHERS = 0o022;
/** Virtual and serial consoles: TTY_MAJOR of linux/major.h, and Documentation/admin-guide/devices.txt for ttyAMA and hvc. */
const consoleMajors = [4, 204, 229] as const;
/** -MAX_ERRNO - 1 of linux/err.h. Compared unsigned, larger values are errors and not pointers. */
const LARGEST_ERROR = -4096;

/**
 * For the exec program, which runs in the task r6 with its linux_binprm in r8. If the process is closed, either ends it, or,
 * if the program is an exception, gives it the sets that follow. Otherwise removes its entry: user space judges the exec. Sets
 * the 8 bytes on the stack at `verdict` to bits of `recordFlags`, 0 if the process was not ended. Uses the stack below them.
 * Loses r0 to r5, r7 and r9.
 */
export function decideExec(kernel: KernelLayout, maps: PreventionMaps, verdict: number): Code {
  const { task, mm } = kernel;
  const key = verdict - closedKey.size;
  const entry = key - closedProcess.size;
  const file = entry - exceptionKey.size;
  const name = file - carrierKey.size - 4;
  return [
    storeImm(8, fp, verdict, 0),
    closedKeyOf(kernel, r6, key),
    // The entry is that of the program before. Its number has risen by one.
    [load(4, r1, fp, key + closedKey.execId), aluImm("sub", r1, 1), store(4, fp, key + closedKey.execId, r1)],
    lookUp(maps.closed, key),
    jumpIfImm(r0, "==", 0, "decided"),
    readEntry(kernel, maps, entry),

    addTo(r2, fp, entry + closedProcess.own),
    lookUp(maps.sets, entry + closedProcess.own),
    jumpIfImm(r0, "==", 0, "open"),
    mov(r7, r0),
    checkUser(kernel, entry),

    load(8, r9, r6, task.mm),
    load(8, r9, r9, mm.exeFile),
    // Never null; see exec.ts.
    jumpIfImm(r9, "==", 0, "open"),
    readFileKey(kernel, r9, file),
    [load(4, r3, fp, entry + closedProcess.own), store(4, fp, file + exceptionKey.set, r3)],
    // A file system of a user's own can have any numbers and times.
    jumpIfImm(r2, "!=", 0, "dies"),
    lookUp(maps.exceptions, file),
    jumpIfImm(r0, "==", 0, "no exception"),
    takeNextSets(kernel, maps, key, entry),

    labelHere("no exception"),
    [untrusted(kernel, file), openElsewhere(kernel, maps, name)],
    [
      load(4, r1, r7, closedSetLayout.flags),
      jumpIfImm(r1, "set", setFlags.carriersDie, "whatever its arguments"),
    ],
    openIfInterpreted(kernel),
    carrier(kernel, maps, name),
    labelHere("whatever its arguments"),
    changedSince(file),

    labelHere("dies"),
    openSession(kernel, maps),
    countPassingFilesAsOne(kernel, file),
    [load(4, r1, r7, closedSetLayout.countedAs), store(4, fp, file + exceptionKey.set, r1)],
    end(maps, verdict, entry, file),

    labelHere("open"),
    removeEntry(maps, key, "open"),
    labelHere("decided"),
  ];
}

/** Copies the entry at r0 to the stack. Jumps to `open` if it belongs to another process, is void or has no set. */
function readEntry({ task }: KernelLayout, maps: PreventionMaps, entry: number): Code {
  return [
    [load(4, r1, r0, closedProcess.own), store(4, fp, entry + closedProcess.own, r1)],
    [load(4, r2, r0, closedProcess.payers), store(4, fp, entry + closedProcess.payers, r2)],
    [load(4, r2, r0, closedProcess.epoch), store(4, fp, entry + closedProcess.epoch, r2)],
    [load(4, r3, r0, closedProcess.uid), store(4, fp, entry + closedProcess.uid, r3)],
    // The start is read last. If the entry was replaced meanwhile, the start is that of another process.
    [load(8, r3, r0, closedProcess.startTicks), load(8, r4, r6, task.startBoottime), toTicks(r4)],
    [store(8, fp, entry + closedProcess.startTicks, r3), jumpIf(r3, "!=", r4, "open")],
    jumpIfImm(r1, "==", 0, "open"),
    [loadMapValue(r3, maps.page, preventionPage.epoch), load(4, r3, r3, 0), jumpIf(r2, "<", r3, "open")],
  ];
}

/** Jumps to `open` if the set at r7 is for one user, and the program runs as another. */
function checkUser({ task, cred }: KernelLayout, entry: number): Code {
  return [
    [load(4, r1, r7, closedSetLayout.flags), aluImm("and", r1, setFlags.user)],
    jumpIfImm(r1, "==", 0, "the set's user"),
    load(8, r1, r6, task.cred),
    jumpIfImm(r1, "==", 0, "open"),
    [load(4, r1, r1, cred.euid), load(4, r2, fp, entry + closedProcess.uid), jumpIf(r1, "!=", r2, "open")],
    labelHere("the set's user"),
  ];
}

/** Jumps to `open` if an interpreter runs the file that was executed: a script, or a file of binfmt_misc. */
function openIfInterpreted({ bprm }: KernelLayout): Code {
  return [load(8, r1, r8, bprm.interp), load(8, r2, r8, bprm.filename), jumpIf(r1, "!=", r2, "open")];
}

/**
 * With an exception at r0: gives the process, for the program that it runs now, the sets that follow. For a script, of which
 * only the interpreter is known, that is decided by user space.
 */
function takeNextSets(kernel: KernelLayout, maps: PreventionMaps, key: number, entry: number): Code {
  return [
    openIfInterpreted(kernel),
    [load(4, r1, r0, exceptionValue.own), store(4, fp, entry + closedProcess.own, r1)],
    [load(4, r2, r0, exceptionValue.child), store(4, fp, entry + closedProcess.child, r2)],
    storeImm(4, fp, entry + closedProcess.unused, 0),
    removeEntry(maps, key, "next"),
    [load(4, r1, fp, entry + closedProcess.own), load(4, r2, fp, entry + closedProcess.child)],
    [alu("or", r1, r2), jumpIfImm(r1, "==", 0, "decided")],
    closedKeyOf(kernel, r6, key),
    addEntry(maps, key, entry),
    jump("decided"),
  ];
}

/** Jumps to `dies` if others than the host's root decide what the file r9 holds, or where it lies. */
function untrusted(kernel: KernelLayout, key: number): Code {
  const { file, inode, mount, mountNamespace, userNamespace } = kernel;
  return [
    load(8, r1, fp, key + exceptionKey.filesystem),
    remoteFileSystems.map((magic) => jump32IfImm(r1, "==", magic, "dies")),
    [load(8, r1, r9, file.inode), load(4, r2, r1, inode.uid), jump32IfImm(r2, "!=", 0, "dies")],
    [load(2, r2, r1, inode.mode), jumpIfImm(r2, "set", WRITABLE_BY_OTHERS, "dies")],
    [load(8, r4, r9, file.mnt), aluImm("sub", r4, mount.vfs)],
    // A mount that is detached has no namespace; the kernel's internal one, which has the memfds, an error in its place.
    [follow(r4, r4, mount.namespace), jumpIfImm(r4, "==", 0, "dies")],
    jumpIfImm(r4, ">", LARGEST_ERROR, "dies"),
    [follow(r4, r4, mountNamespace.userNamespace), jumpIfImm(r4, "==", 0, "dies")],
    [follow(r4, r4, userNamespace.level, 4), jump32IfImm(r4, "!=", 0, "dies")],
  ];
}

/** Jumps to `open` if the file r9 has the name of a program that runs what its arguments name. */
function carrier({ file, dentry }: KernelLayout, maps: PreventionMaps, key: number): Code {
  return [
    [load(8, r3, r9, file.dentry), load(8, r3, r3, dentry.name)],
    [
      addTo(r1, fp, key + carrierKey.name),
      movImm(r2, CARRIER_NAME_BYTES),
      callHelper(helpers.probeReadKernelStr),
    ],
    jumpIfImm(r0, "s<=", 0, "open"),
    // With its NUL, so that an exact name is found by no longer one.
    [aluImm("lsh", r0, 3), store(4, fp, key + carrierKey.prefixLength, r0)],
    [lookUp(maps.carriers, key), jumpIfImm(r0, "!=", 0, "open")],
  ];
}

/** Jumps to `open` if the file was changed, or put in its place, after the set's exceptions were identified. */
function changedSince(key: number): Code {
  return [
    [load(8, r1, fp, key + exceptionKey.changed), load(8, r2, r7, closedSetLayout.identifiedAt)],
    [jumpIf(r1, "s>", r2, "open"), jumpIf(r1, "s<", r2, "dies")],
    load(4, r1, fp, key + exceptionKey.changedNanoseconds),
    [load(4, r2, r7, closedSetLayout.identifiedAtNanoseconds), jumpIf(r1, ">=", r2, "open")],
  ];
}

/**
 * Jumps to `open` if the process may be the first of a session of the rescue user, or of root on the console: what let them
 * log in may be closed, and user space has not seen the session yet, which also decides whether it is one. A process without
 * a login user may set its own, so its real user must be the same.
 */
function openSession({ task, cred, signal, tty, ttyDriver }: KernelLayout, maps: PreventionMaps): Code {
  if (task.loginuid === undefined) return [];
  return [
    [load(8, r1, r6, task.cred), jumpIfImm(r1, "==", 0, "no session")],
    [load(4, r1, r1, cred.uid), load(4, r2, r6, task.loginuid), jumpIf(r1, "!=", r2, "no session")],
    [
      loadMapValue(r2, maps.page, preventionPage.rescueUser),
      load(4, r2, r2, 0),
      jumpIf(r1, "==", r2, "open"),
    ],
    jumpIfImm(r1, "!=", 0, "no session"),
    [load(8, r1, r6, task.signal), load(8, r1, r1, signal.tty), jumpIfImm(r1, "==", 0, "no session")],
    [load(8, r1, r1, tty.driver), load(4, r1, r1, ttyDriver.major)],
    consoleMajors.map((major) => jumpIfImm(r1, "==", major, "open")),
    labelHere("no session"),
  ];
}

/**
 * A memfd, a deleted file and a file on a detached mount cannot be executed again later, and a process can make any number of
 * them for nothing. So all of them count as one file of the set, for the limit on different files: this clears the file in the
 * key on the stack, and leaves its set.
 */
function countPassingFilesAsOne({ file, dentry, mount }: KernelLayout, key: number): Code {
  return [
    [load(8, r4, r9, file.mnt), aluImm("sub", r4, mount.vfs)],
    [follow(r4, r4, mount.namespace), jumpIfImm(r4, "==", 0, "does not last")],
    jumpIfImm(r4, ">", LARGEST_ERROR, "does not last"),
    [load(8, r3, r9, file.dentry), load(8, r3, r3, dentry.hashed), jumpIfImm(r3, "!=", 0, "lasts")],
    labelHere("does not last"),
    [exceptionKey.device, exceptionKey.changedNanoseconds, exceptionKey.generation].map((field) =>
      storeImm(4, fp, key + field, 0),
    ),
    [exceptionKey.inode, exceptionKey.changed, exceptionKey.filesystem].map((field) =>
      storeImm(8, fp, key + field, 0),
    ),
    labelHere("lasts"),
  ];
}

/**
 * Ends the process. Jumps to `open` if prevention does not act now, if the warden has not said for too long that it lives, or if
 * too many different files were ended lately.
 */
function end(maps: PreventionMaps, verdict: number, entry: number, file: number): Code {
  return [
    loadMapValue(r9, maps.page),
    [load(4, r1, r9, preventionPage.acting), jumpIfImm(r1, "==", 0, "open")],
    callHelper(helpers.ktimeGetNs),
    [load(8, r1, r9, preventionPage.limit), jumpIfImm(r1, "==", 0, "in time")],
    [load(8, r2, r9, preventionPage.beat), alu("add", r1, r2), jumpIf(r0, ">", r1, "open")],
    labelHere("in time"),
    mov(r9, r0),
    [lookUp(maps.ended, file), jumpIfImm(r0, "!=", 0, "kill")],
    chargeEnd(maps, { payers: entry + closedProcess.payers, file, scratch: file - CHARGE_STACK }, "open"),
    labelHere("kill"),
    [movImm(r1, SIGKILL), callHelper(helpers.sendSignal)],
    jumpIfImm(r0, "!=", 0, "failed"),
    storeImm(8, fp, verdict, recordFlags.prevented),
    [movImm(r1, 1), atomicAdd(8, r7, closedSetLayout.prevented, r1)],
    jump("open"),
    labelHere("failed"),
    storeImm(8, fp, verdict, recordFlags.preventionFailed),
    addToCounter(maps, preventionPage.failed),
  ];
}
