// tracepoint sched_process_exec(task, old pid, linux_binprm): runs in the process after the new program is in
// place and before it runs. Reads everything but the two paths, which walk.ts adds.
import {
  alu,
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
} from "../../linux/bpf/assembler.ts";
import { PATH_MAX } from "../../linux/kernel-constants.ts";
import { cgroupPath } from "./cgroup.ts";
import {
  appendString,
  appendUserMemory,
  begin,
  callWalk,
  claim,
  countLost,
  enter,
  execArguments,
  findScratch,
  follow,
  leave,
  member,
  type ProgramMaps,
  type Read,
  readInto,
  setFlag,
} from "./code.ts";
import { type KernelLayout, UPID_BYTES } from "./kernel.ts";
import {
  commonLayout,
  execLayout,
  recordFlags,
  recordKinds,
  sharedLayout,
  TTY_MAX,
  walkPhases,
  walkState,
} from "./layout.ts";
import { decideExec } from "./prevention/decide.ts";

// Words on the stack; fp - 8 is the scratch word, and cgroup.ts uses those below.
const CONTEXT = -16;
const KEPT = -24;
const MOUNTS = -32;
/** Until the record has it; MOUNTS is written after that. */
const VERDICT = MOUNTS;

/** -MAX_ERRNO - 1 of linux/err.h, compared unsigned: larger values are errors, not pointers. */
const LARGEST_ERROR = -4096;

/** include/linux/pid_namespace.h: maximum nesting of pid namespaces. The verifier needs a bound for the index. */
const MAX_PID_NS_LEVEL = 32;

/** A user or session that the kernel does not keep. */
const NONE = -1;

export function execProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  return [
    enter(maps),
    load(8, r6, r1, execArguments.task),
    load(8, r8, r1, execArguments.bprm),
    store(8, fp, CONTEXT, r1),
    claimExec(kernel, maps),
    // First, so that nothing can keep it from being decided.
    maps.prevention === undefined
      ? storeImm(8, fp, VERDICT, 0)
      : decideExec(kernel, maps.prevention, VERDICT),
    findScratch(maps, "lost"),
    begin(recordKinds.exec),
    [load(8, r4, fp, VERDICT), store(4, r7, execLayout.flags, r4)],
    storeImm(8, r7, execLayout.settleKey, 0),
    storeImm(4, r7, execLayout.environmentEnd, 0),
    movImm(r9, execLayout.texts),
    filename(kernel),
    ids(kernel),
    args(kernel, maps),
    terminal(kernel),
    cgroupPath(kernel, maps),
    executable(kernel),
    workingDirectory(kernel),
    handOver(maps),
  ];
}

/** No two execs of a process have the same number; one of a later process with its pid began later. */
function claimExec({ task }: KernelLayout, maps: ProgramMaps): Code {
  return [
    load(4, r1, r6, task.tgid),
    [load(8, r2, r6, task.startBoottime), load(4, r3, r6, task.selfExecId), alu("add", r2, r3)],
    claim(maps, recordKinds.exec, "taken"),
  ];
}

/** The path as passed to execve(2), and whether an interpreter runs it. r8 is the linux_binprm. */
function filename(kernel: KernelLayout): Code {
  const { bprm } = kernel;
  return [
    // `interp` points to the same string unless an interpreter takes the file's place.
    load(8, r4, r8, bprm.interp),
    load(8, r3, r8, bprm.filename),
    jumpIf(r3, "==", r4, "binary"),
    setFlag(execLayout.flags, recordFlags.script),
    labelHere("binary"),
    appendString(r9, PATH_MAX, "no filename"),
    store(4, r7, execLayout.filenameEnd, r9),
  ];
}

/** The ids of the process, of its parent, of its users and of its namespaces. */
function ids(kernel: KernelLayout): Code {
  const { task, cred, nsproxy, mountNamespace, pid, upid, pidNamespace } = kernel;
  return [
    [load(4, r4, r6, task.tgid), store(4, r7, commonLayout.pid, r4)],
    [load(8, r4, r6, task.startBoottime), store(8, r7, execLayout.start, r4)],
    [load(4, r4, r6, task.selfExecId), store(8, r7, execLayout.execId, r4)],
    task.loginuid === undefined ? movImm(r4, NONE) : load(4, r4, r6, task.loginuid),
    store(4, r7, execLayout.loginUid, r4),
    task.sessionid === undefined ? movImm(r4, NONE) : load(4, r4, r6, task.sessionid),
    store(4, r7, execLayout.sessionId, r4),
    load(8, r8, r6, task.realParent),
    [load(4, r4, r8, task.tgid), store(4, r7, execLayout.parentPid, r4)],

    load(8, r8, r6, task.cred),
    // It is never null, but a verifier whose BTF marks pointers protected by RCU demands a check.
    jumpIfImm(r8, "==", 0, "lost"),
    [load(4, r4, r8, cred.euid), store(4, r7, execLayout.uid, r4)],
    [load(4, r4, r8, cred.uid), store(4, r7, execLayout.realUid, r4)],
    [load(4, r4, r8, cred.egid), store(4, r7, execLayout.gid, r4)],

    load(8, r8, r6, task.nsproxy),
    load(8, r8, r8, nsproxy.mnt),
    store(8, fp, MOUNTS, r8),
    [load(4, r4, r8, mountNamespace.inum), store(4, r7, execLayout.mountNamespace, r4)],
    mov(r4, r8),
    flagUserMounts(kernel, member, "its mounts"),

    // The namespace of the process is that of its pid's last level; nsproxy has the one for its children.
    load(8, r8, r6, task.threadPid),
    load(4, r0, r8, pid.level),
    jumpIfImm(r0, ">", MAX_PID_NS_LEVEL, "lost"),
    aluImm("mul", r0, UPID_BYTES),
    alu("add", r8, r0),
    follow(r8, r8, pid.numbers + upid.namespace),
    readInto(execLayout.pidNamespace, 4, r8, pidNamespace.inum),
  ];
}

/**
 * Sets the flag unless the mount namespace at r4 belongs to the host's user namespace, the one of level 0. A null
 * namespace (of a detached mount) sets the flag as well. Loses r0 to r5.
 */
function flagUserMounts({ mountNamespace, userNamespace }: KernelLayout, read: Read, name: string): Code {
  return [
    read(r4, r4, mountNamespace.userNamespace),
    jumpIfImm(r4, "==", 0, `${name}: a user's`),
    read(r4, r4, userNamespace.level, 4),
    jumpIfImm(r4, "==", 0, `${name}: the host's`),
    labelHere(`${name}: a user's`),
    setFlag(execLayout.flags, recordFlags.userMounts),
    labelHere(`${name}: the host's`),
  ];
}

/** The arguments, from the stack that the kernel has just written, so that its pages are present. */
function args({ task, mm }: KernelLayout, maps: ProgramMaps): Code {
  return [
    load(8, r8, r6, task.mm),
    load(8, r3, r8, mm.argStart),
    load(8, r2, r8, mm.argEnd),
    alu("sub", r2, r3),
    jumpIfImm(r2, "<=", maps.argsBytes, "args fit"),
    setFlag(execLayout.flags, recordFlags.argsTruncated),
    movImm(r2, maps.argsBytes),
    labelHere("args fit"),
    appendUserMemory(KEPT, maps.argsBytes, "args unreadable"),
    jump("args done"),
    labelHere("args unreadable"),
    setFlag(execLayout.flags, recordFlags.argsUnreadable),
    labelHere("args done"),
    store(4, r7, execLayout.argsEnd, r9),
  ];
}

/** The controlling terminal's name. */
function terminal({ task, signal, tty }: KernelLayout): Code {
  return [
    load(8, r8, r6, task.signal),
    load(8, r3, r8, signal.tty),
    jumpIfImm(r3, "==", 0, "no terminal"),
    aluImm("add", r3, tty.name),
    appendString(r9, TTY_MAX, "no terminal"),
    store(4, r7, execLayout.ttyEnd, r9),
  ];
}

/** The file that runs; for a script, the interpreter's. Saves for the walk where its path begins. */
function executable(kernel: KernelLayout): Code {
  const { task, mm, file, inode, dentry, mount, superBlock } = kernel;
  return [
    load(8, r8, r6, task.mm),
    load(8, r8, r8, mm.exeFile),
    // Never null either, but newer verifiers always demand this check.
    jumpIfImm(r8, "==", 0, "lost"),
    load(8, r4, r8, file.mnt),
    aluImm("sub", r4, mount.vfs),
    storeState(walkState.mount),
    // A file can be run by a descriptor from another mount namespace; the path is then that of the other namespace.
    follow(r4, r4, mount.namespace),
    load(8, r1, fp, MOUNTS),
    jumpIf(r4, "==", r1, "the file's mount: the host's"),
    // The kernel's internal mount, which has the memfds, has an error in place of a namespace.
    jumpIfImm(r4, ">", LARGEST_ERROR, "the file's mount: the host's"),
    flagUserMounts(kernel, follow, "the file's mount"),
    load(8, r4, r8, file.dentry),
    storeState(walkState.dentry),
    load(8, r4, r4, dentry.hashed),
    jumpIfImm(r4, "!=", 0, "named"),
    setFlag(execLayout.flags, recordFlags.deleted),
    labelHere("named"),

    load(8, r8, r8, file.inode),
    [load(2, r4, r8, inode.mode), store(4, r7, execLayout.mode, r4)],
    [load(4, r4, r8, inode.uid), store(4, r7, execLayout.owner, r4)],
    [load(8, r4, r8, inode.ino), store(8, r7, execLayout.inode, r4)],
    [load(8, r4, r8, inode.ctime), store(8, r7, execLayout.changed, r4)],
    [load(4, r4, r8, inode.ctimeNanoseconds), store(4, r7, execLayout.changedNanoseconds, r4)],
    load(8, r8, r8, inode.sb),
    [load(4, r4, r8, superBlock.dev), store(4, r7, execLayout.device, r4)],
  ];
}

function workingDirectory({ task, fs, mount }: KernelLayout): Code {
  return [
    load(8, r8, r6, task.fs),
    load(8, r4, r8, fs.mnt),
    aluImm("sub", r4, mount.vfs),
    storeState(walkState.cwdMount),
    load(8, r4, r8, fs.dentry),
    storeState(walkState.cwdDentry),
  ];
}

/** Saves r4 for the walk. */
function storeState(field: number): Code {
  return store(8, r7, field - walkState.size, r4);
}

/** Calls the program of walk.ts, which does not return. */
function handOver(maps: ProgramMaps): Code {
  return [
    mov(r4, r9),
    storeState(walkState.end),
    movImm(r4, walkPhases.executable),
    storeState(walkState.phase),
    callWalk(maps, CONTEXT),
    labelHere("lost"),
    countLost(maps, sharedLayout.lostExecs),
    labelHere("taken"),
    leave(maps),
  ];
}
