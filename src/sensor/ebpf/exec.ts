// tracepoint sched_process_exec(task, old pid, linux_binprm): runs in the process, when the new program is in
// place and has not run yet. Reads everything but the two paths, which walk.ts adds.
import {
  alu,
  aluImm,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jump,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMap,
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
import { helpers } from "../../linux/bpf/helpers.ts";
import { cgroupPath } from "./cgroup.ts";
import {
  appendString,
  begin,
  countLost,
  findScratch,
  follow,
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
  PATH_MAX,
  recordFlags,
  recordKinds,
  sharedLayout,
  TTY_MAX,
  walkPhases,
  walkState,
} from "./layout.ts";

const TASK = 0;
const BPRM = 16; // third argument

// Words on the stack; fp - 8 is the scratch word, and cgroup.ts has those below.
const CONTEXT = -16;
const KEPT = -24;
const MOUNTS = -32;

/** -MAX_ERRNO - 1 of linux/err.h, compared without a sign: what is above is no pointer. */
const LARGEST_ERROR = -4096;

/** include/linux/pid_namespace.h: namespaces within namespaces. The verifier wants an end to where a pid's may lie. */
const MAX_PID_NS_LEVEL = 32;

/** A user or session that the kernel does not keep. */
const NONE = -1;

export function execProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  return [
    load(8, r6, r1, TASK),
    load(8, r8, r1, BPRM),
    store(8, fp, CONTEXT, r1),
    findScratch(maps, "lost"),
    begin(recordKinds.exec),
    storeImm(4, r7, execLayout.flags, 0),
    storeImm(8, r7, execLayout.settleKey, 0),
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

/** The path as execve(2) got it, and whether what runs is an interpreter for it. r8: the linux_binprm. */
function filename(kernel: KernelLayout): Code {
  const { bprm } = kernel;
  return [
    // `interp` is the very same string until an interpreter takes the file's place.
    load(8, r4, r8, bprm.interp),
    load(8, r3, r8, bprm.filename),
    jumpIf(r3, "==", r4, "binary"),
    setFlag(execLayout.flags, recordFlags.script),
    labelHere("binary"),
    appendString(r9, PATH_MAX, "no filename"),
    store(4, r7, execLayout.filenameEnd, r9),
  ];
}

/** Numbers of the process: its own, its parent's, its users', its namespaces'. */
function ids(kernel: KernelLayout): Code {
  const { task, cred, nsproxy, mountNamespace, pid, upid, pidNamespace } = kernel;
  return [
    [load(4, r4, r6, task.tgid), store(4, r7, commonLayout.pid, r4)],
    [load(8, r4, r6, task.startBoottime), store(8, r7, execLayout.start, r4)],
    task.loginuid === undefined ? movImm(r4, NONE) : load(4, r4, r6, task.loginuid),
    store(4, r7, execLayout.loginUid, r4),
    task.sessionid === undefined ? movImm(r4, NONE) : load(4, r4, r6, task.sessionid),
    store(4, r7, execLayout.sessionId, r4),
    load(8, r8, r6, task.realParent),
    [load(4, r4, r8, task.tgid), store(4, r7, execLayout.parentPid, r4)],

    load(8, r8, r6, task.cred),
    // It is never null; a kernel whose BTF says which pointers RCU protects wants to see that somebody has looked.
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

    // The namespace a process is in is that of its pid's last level; nsproxy has the one its children get.
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
 * Sets the flag unless the mount namespace at r4 belongs to the user namespace that has none above it, the host's. One
 * that is none (a mount that was detached) is not the host's either. Loses r0 to r5.
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

/** The arguments, from the stack the kernel has just written: its pages are there. */
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
    store(8, fp, KEPT, r2),
    mov(r1, r7),
    alu("add", r1, r9),
    callHelper(helpers.probeReadUser),
    jumpIfImm(r0, "!=", 0, "args unreadable"),
    load(8, r4, fp, KEPT),
    // Known already, but older verifiers forget what went over the stack.
    jumpIfImm(r4, ">", maps.argsBytes, "args unreadable"),
    alu("add", r9, r4),
    jump("args done"),
    labelHere("args unreadable"),
    setFlag(execLayout.flags, recordFlags.argsUnreadable),
    labelHere("args done"),
    store(4, r7, execLayout.argsEnd, r9),
    // The hash of wakeup.ts goes on to a whole word.
    mov(r1, r7),
    alu("add", r1, r9),
    storeImm(8, r1, 0, 0),
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

/** The file that runs: the interpreter's for a script. Leaves where its path begins for the walk. */
function executable(kernel: KernelLayout): Code {
  const { task, mm, file, inode, dentry, mount, superBlock } = kernel;
  return [
    load(8, r8, r6, task.mm),
    load(8, r8, r8, mm.exeFile),
    // Never null either; newer kernels want this one looked at whatever their BTF says.
    jumpIfImm(r8, "==", 0, "lost"),
    load(8, r4, r8, file.mnt),
    aluImm("sub", r4, mount.vfs),
    storeState(walkState.mount),
    // A file can be run by a descriptor from another namespace, and the path is told as that one has it.
    follow(r4, r4, mount.namespace),
    load(8, r1, fp, MOUNTS),
    jumpIf(r4, "==", r1, "the file's mount: the host's"),
    // The kernel's own mount, where memfds lie, has an error in place of a namespace.
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

/** Keeps r4 for the walk. */
function storeState(field: number): Code {
  return store(8, r7, field - walkState.size, r4);
}

/** On to walk.ts, which does not come back. */
function handOver(maps: ProgramMaps): Code {
  return [
    mov(r4, r9),
    storeState(walkState.end),
    movImm(r4, walkPhases.executable),
    storeState(walkState.phase),
    load(8, r1, fp, CONTEXT),
    loadMap(r2, maps.programs),
    movImm(r3, 0),
    callHelper(helpers.tailCall),
    labelHere("lost"),
    countLost(maps, sharedLayout.lostExecs),
    movImm(r0, 0),
    exitInstruction,
  ];
}
