// raw tracepoint sched_process_exec(task, old pid, linux_binprm): runs in the process, when the new program is in
// place and has not run yet. Reads everything but the two paths, which walk.ts adds.
import {
  alu,
  aluImm,
  type Code,
  call,
  exit,
  fp,
  jump,
  jumpIf,
  jumpIfImm,
  label,
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
  type ProgramMaps,
  readInto,
  setFlag,
} from "./code.ts";
import { FieldSpace, type Fields } from "./fields.ts";
import type { KernelLayout } from "./kernel.ts";
import {
  common,
  exec,
  FIELD_BYTES,
  flags,
  kinds,
  PATH_MAX,
  shared,
  TTY_MAX,
  walkPhases,
  walkState,
} from "./record.ts";

const TASK = 0;
const BPRM = 16; // third argument

// Words on the stack; fp - 8 is the scratch word.
const CONTEXT = -16;
const KEPT = -24;
const MOUNTS = -32;

/** -MAX_ERRNO - 1 of linux/err.h, compared without a sign: what is above is no pointer. */
const LARGEST_ERROR = -4096;

/** A user or session that the kernel does not keep. */
const NONE = -1;

export function execProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  const space = new FieldSpace(walkState.size, FIELD_BYTES);
  const task = space.fields({
    tgid: [kernel.task.tgid, 4],
    startBoottime: [kernel.task.startBoottime, 8],
    realParent: [kernel.task.realParent, 8],
    loginuid: [kernel.task.loginuid, 4],
    sessionid: [kernel.task.sessionid, 4],
    cred: [kernel.task.cred, 8],
    nsproxy: [kernel.task.nsproxy, 8],
    threadPid: [kernel.task.threadPid, 8],
    signal: [kernel.task.signal, 8],
    cgroups: [kernel.task.cgroups, 8],
    mm: [kernel.task.mm, 8],
    fs: [kernel.task.fs, 8],
  });
  return [
    load(8, r6, r1, TASK),
    load(8, r8, r1, BPRM),
    store(8, fp, CONTEXT, r1),
    findScratch(maps, "lost"),
    begin(kinds.exec),
    storeImm(4, r7, exec.flags, 0),
    storeImm(8, r7, exec.settleKey, 0),
    movImm(r9, exec.texts),
    filename(kernel),
    task.read(r6),
    ids(kernel, task, space),
    args(kernel, maps, task, space),
    terminal(kernel, task),
    task.get(r8, "cgroups"),
    cgroupPath(kernel, maps, space),
    executable(kernel, task, space),
    workingDirectory(kernel, task, space),
    handOver(maps),
  ];
}

type Task = Fields<
  | "tgid"
  | "startBoottime"
  | "realParent"
  | "loginuid"
  | "sessionid"
  | "cred"
  | "nsproxy"
  | "threadPid"
  | "signal"
  | "cgroups"
  | "mm"
  | "fs"
>;

/** The path as execve(2) got it, and whether what runs is an interpreter for it. r8: the linux_binprm. */
function filename(kernel: KernelLayout): Code {
  const { bprm } = kernel;
  return [
    // `interp` is the very same string until an interpreter takes the file's place.
    follow(r4, r8, bprm.interp),
    store(8, fp, KEPT, r4),
    follow(r3, r8, bprm.filename),
    load(8, r4, fp, KEPT),
    jumpIf(r3, "==", r4, "binary"),
    setFlag(exec.flags, flags.script),
    label("binary"),
    appendString(r9, PATH_MAX, "no filename"),
    store(4, r7, exec.filenameEnd, r9),
  ];
}

/** Numbers of the process: its own, its parent's, its users', its namespaces'. */
function ids(kernel: KernelLayout, task: Task, space: FieldSpace): Code {
  const { nsproxy, mountNamespace, pid, pidNamespace } = kernel;
  const cred = space.fields({
    uid: [kernel.cred.uid, 4],
    euid: [kernel.cred.euid, 4],
    egid: [kernel.cred.egid, 4],
  });
  return [
    [task.get(r4, "tgid"), store(4, r7, common.pid, r4)],
    [task.get(r4, "startBoottime"), store(8, r7, exec.start, r4)],
    kernel.task.loginuid === undefined ? movImm(r4, NONE) : task.get(r4, "loginuid"),
    store(4, r7, exec.loginUid, r4),
    kernel.task.sessionid === undefined ? movImm(r4, NONE) : task.get(r4, "sessionid"),
    store(4, r7, exec.sessionId, r4),
    task.get(r8, "realParent"),
    readInto(exec.parentPid, 4, r8, kernel.task.tgid),

    task.get(r8, "cred"),
    cred.read(r8),
    [cred.get(r4, "euid"), store(4, r7, exec.uid, r4)],
    [cred.get(r4, "uid"), store(4, r7, exec.realUid, r4)],
    [cred.get(r4, "egid"), store(4, r7, exec.gid, r4)],

    task.get(r8, "nsproxy"),
    follow(r8, r8, nsproxy.mnt),
    store(8, fp, MOUNTS, r8),
    readInto(exec.mountNamespace, 4, r8, mountNamespace.inum),
    flagUserMounts(kernel, "its mounts"),

    // The namespace a process is in is that of its pid's last level; nsproxy has the one its children get.
    task.get(r8, "threadPid"),
    follow(r0, r8, pid.level, 4),
    aluImm("mul", r0, pid.numberSize),
    alu("add", r8, r0),
    follow(r8, r8, pid.numbers + pid.namespace),
    readInto(exec.pidNamespace, 4, r8, pidNamespace.inum),
  ];
}

/**
 * Sets the flag unless the mount namespace at r8 belongs to the user namespace that has none above it, the host's. One
 * that is none (a mount that was detached) is not the host's either. Loses r0 to r5 and r8.
 */
function flagUserMounts({ mountNamespace, userNamespace }: KernelLayout, name: string): Code {
  return [
    follow(r8, r8, mountNamespace.userNamespace),
    jumpIfImm(r8, "==", 0, `${name}: a user's`),
    follow(r4, r8, userNamespace.level, 4),
    jumpIfImm(r4, "==", 0, `${name}: the host's`),
    label(`${name}: a user's`),
    setFlag(exec.flags, flags.userMounts),
    label(`${name}: the host's`),
  ];
}

/** The arguments, from the stack the kernel has just written: its pages are there. */
function args(kernel: KernelLayout, maps: ProgramMaps, task: Task, space: FieldSpace): Code {
  const mm = space.fields({ argStart: [kernel.mm.argStart, 8], argEnd: [kernel.mm.argEnd, 8] });
  return [
    task.get(r8, "mm"),
    mm.read(r8),
    mm.get(r3, "argStart"),
    mm.get(r2, "argEnd"),
    alu("sub", r2, r3),
    jumpIfImm(r2, "<=", maps.argsBytes, "args fit"),
    setFlag(exec.flags, flags.argsTruncated),
    movImm(r2, maps.argsBytes),
    label("args fit"),
    store(8, fp, KEPT, r2),
    mov(r1, r7),
    alu("add", r1, r9),
    call(helpers.probeReadUser),
    jumpIfImm(r0, "!=", 0, "args unreadable"),
    load(8, r4, fp, KEPT),
    // Known already, but older verifiers forget what went over the stack.
    jumpIfImm(r4, ">", maps.argsBytes, "args unreadable"),
    alu("add", r9, r4),
    jump("args done"),
    label("args unreadable"),
    setFlag(exec.flags, flags.argsUnreadable),
    label("args done"),
    store(4, r7, exec.argsEnd, r9),
    // The hash of urgency.ts goes on to a whole word.
    mov(r1, r7),
    alu("add", r1, r9),
    storeImm(8, r1, 0, 0),
  ];
}

/** The controlling terminal's name. */
function terminal(kernel: KernelLayout, task: Task): Code {
  const { signal, tty } = kernel;
  return [
    task.get(r8, "signal"),
    follow(r3, r8, signal.tty),
    jumpIfImm(r3, "==", 0, "no terminal"),
    aluImm("add", r3, tty.name),
    appendString(r9, TTY_MAX, "no terminal"),
    store(4, r7, exec.ttyEnd, r9),
  ];
}

/** The file that runs: the interpreter's for a script. Leaves where its path begins for the walk. */
function executable(kernel: KernelLayout, task: Task, space: FieldSpace): Code {
  const file = space.fields({
    mnt: [kernel.file.mnt, 8],
    dentry: [kernel.file.dentry, 8],
    inode: [kernel.file.inode, 8],
  });
  const inode = space.fields({
    mode: [kernel.inode.mode, 2],
    ino: [kernel.inode.ino, 8],
    sb: [kernel.inode.sb, 8],
    ctime: [kernel.inode.ctime, 8],
    ctimeNanoseconds: [kernel.inode.ctimeNanoseconds, 4],
  });
  return [
    task.get(r8, "mm"),
    follow(r8, r8, kernel.mm.exeFile),
    file.read(r8),
    file.get(r4, "mnt"),
    aluImm("sub", r4, kernel.mount.vfs),
    storeState(walkState.mount),
    // A file can be run by a descriptor from another namespace, and the path is told as that one has it.
    mov(r8, r4),
    follow(r8, r8, kernel.mount.namespace),
    load(8, r4, fp, MOUNTS),
    jumpIf(r8, "==", r4, "the file's mount: the host's"),
    // The kernel's own mount, where memfds lie, has an error in place of a namespace.
    jumpIfImm(r8, ">", LARGEST_ERROR, "the file's mount: the host's"),
    flagUserMounts(kernel, "the file's mount"),
    file.get(r8, "dentry"),
    mov(r4, r8),
    storeState(walkState.dentry),
    follow(r4, r8, kernel.dentry.hashed),
    jumpIfImm(r4, "!=", 0, "named"),
    setFlag(exec.flags, flags.deleted),
    label("named"),

    file.get(r8, "inode"),
    inode.read(r8),
    [inode.get(r4, "mode"), store(4, r7, exec.mode, r4)],
    [inode.get(r4, "ino"), store(8, r7, exec.inode, r4)],
    [inode.get(r4, "ctime"), store(8, r7, exec.changed, r4)],
    [inode.get(r4, "ctimeNanoseconds"), store(4, r7, exec.changedNanoseconds, r4)],
    inode.get(r8, "sb"),
    readInto(exec.device, 4, r8, kernel.superBlock.dev),
  ];
}

function workingDirectory(kernel: KernelLayout, task: Task, space: FieldSpace): Code {
  const fs = space.fields({ mnt: [kernel.fs.mnt, 8], dentry: [kernel.fs.dentry, 8] });
  return [
    task.get(r8, "fs"),
    fs.read(r8),
    fs.get(r4, "mnt"),
    aluImm("sub", r4, kernel.mount.vfs),
    storeState(walkState.cwdMount),
    fs.get(r4, "dentry"),
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
    call(helpers.tailCall),
    label("lost"),
    countLost(maps, shared.lostExecs),
    movImm(r0, 0),
    exit,
  ];
}
