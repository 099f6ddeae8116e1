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
import {
  appendName,
  appendString,
  begin,
  beginStep,
  countLost,
  findScratch,
  follow,
  type ProgramMaps,
  readInto,
  setFlag,
} from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import { common, exec, flags, kinds, PATH_MAX, shared, TTY_MAX, walkPhases, walkState } from "./record.ts";

const TASK = 0;
const BPRM = 16; // third argument

/** Folders of a cgroup path: systemd and the container runtimes nest no deeper than ten. */
const CGROUP_DEPTH = 32;

/** Where loops keep r9, as an offset from r7. */
const END = walkState.end - walkState.size;

// Words on the stack; fp - 8 is the scratch word.
const CONTEXT = -16;
const COUNTER = -24;
const KEPT = -32;

export function execProgram(kernel: KernelLayout, maps: ProgramMaps): Code {
  return [
    load(8, r6, r1, TASK),
    load(8, r8, r1, BPRM),
    store(8, fp, CONTEXT, r1),
    findScratch(maps, "lost"),
    begin(kinds.exec),
    storeImm(4, r7, exec.flags, 0),
    storeImm(8, r7, exec.settleKey, 0),
    ids(kernel),
    movImm(r9, exec.texts),
    filename(kernel),
    args(kernel, maps),
    terminal(kernel),
    cgroup(kernel, maps),
    executable(kernel),
    workingDirectory(kernel),
    handOver(maps),
  ];
}

/** Numbers of the process: its own, its parent's, its users', its namespaces'. */
function ids(kernel: KernelLayout): Code {
  const { task, cred, nsproxy, mountNamespace, pid, pidNamespace } = kernel;
  return [
    readInto(common.pid, 4, r6, task.tgid),
    readInto(exec.start, 8, r6, task.startBoottime),
    follow(r4, r6, task.realParent),
    readInto(exec.parentPid, 4, r4, task.tgid),
    task.loginuid === undefined ? [] : readInto(exec.loginUid, 4, r6, task.loginuid),
    task.sessionid === undefined ? [] : readInto(exec.sessionId, 4, r6, task.sessionid),

    follow(r4, r6, task.cred),
    store(8, fp, KEPT, r4),
    readInto(exec.uid, 4, r4, cred.euid),
    load(8, r4, fp, KEPT),
    readInto(exec.realUid, 4, r4, cred.uid),
    load(8, r4, fp, KEPT),
    readInto(exec.gid, 4, r4, cred.egid),

    follow(r4, r6, task.nsproxy),
    follow(r4, r4, nsproxy.mnt),
    readInto(exec.mountNamespace, 4, r4, mountNamespace.inum),

    // The namespace a process is in is that of its pid's last level; nsproxy has the one its children get.
    follow(r4, r6, task.threadPid),
    store(8, fp, KEPT, r4),
    follow(r0, r4, pid.level, 4),
    aluImm("mul", r0, pid.numberSize),
    load(8, r4, fp, KEPT),
    alu("add", r4, r0),
    follow(r4, r4, pid.numbers + pid.namespace),
    readInto(exec.pidNamespace, 4, r4, pidNamespace.inum),
  ];
}

/** The path as execve(2) got it, and whether what runs is an interpreter for it. */
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

/** The controlling terminal's name. */
function terminal(kernel: KernelLayout): Code {
  const { task, signal, tty } = kernel;
  return [
    follow(r3, r6, task.signal),
    follow(r3, r3, signal.tty),
    jumpIfImm(r3, "==", 0, "no terminal"),
    aluImm("add", r3, tty.name),
    appendString(r9, TTY_MAX, "no terminal"),
    store(4, r7, exec.ttyEnd, r9),
  ];
}

/** The path in the unified hierarchy, leaf to root. */
function cgroup(kernel: KernelLayout, maps: ProgramMaps): Code {
  const limit = exec.texts + PATH_MAX + maps.argsBytes + TTY_MAX + PATH_MAX;
  const layout = kernel.cgroup;
  if (layout === undefined || kernel.task.cgroups === undefined) return store(4, r7, exec.cgroupEnd, r9);
  return [
    follow(r8, r6, kernel.task.cgroups),
    follow(r8, r8, layout.setDefault),
    follow(r8, r8, layout.node),
    storeImm(8, fp, COUNTER, CGROUP_DEPTH),
    store(8, r7, END, r9),
    label("cgroup"),
    beginStep(END, limit, "cgroup cut"),
    // The root has no parent, and no name.
    follow(r4, r8, layout.nodeParent),
    jumpIfImm(r4, "==", 0, "cgroup done"),
    store(8, fp, KEPT, r4),
    follow(r3, r8, layout.nodeName),
    appendName(END, "cgroup unnamed"),
    load(8, r8, fp, KEPT),
    load(8, r4, fp, COUNTER),
    aluImm("sub", r4, 1),
    store(8, fp, COUNTER, r4),
    jumpIfImm(r4, "!=", 0, "cgroup"),
    label("cgroup cut"),
    setFlag(exec.flags, flags.cgroupCut),
    label("cgroup done"),
    load(8, r9, r7, END),
    jumpIfImm(r9, ">", limit, "lost"),
    store(4, r7, exec.cgroupEnd, r9),
  ];
}

/** The arguments, from the stack the kernel has just written: its pages are there. */
function args(kernel: KernelLayout, maps: ProgramMaps): Code {
  const { task, mm } = kernel;
  return [
    follow(r8, r6, task.mm),
    follow(r4, r8, mm.argStart),
    store(8, fp, KEPT, r4),
    follow(r2, r8, mm.argEnd),
    load(8, r3, fp, KEPT),
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

/** The file that runs: the interpreter's for a script. Leaves where its path begins for the walk. */
function executable(kernel: KernelLayout): Code {
  const { task, mm, file, inode, superBlock, dentry } = kernel;
  return [
    follow(r8, r6, task.mm),
    follow(r8, r8, mm.exeFile),
    follow(r4, r8, file.mnt),
    aluImm("sub", r4, kernel.mount.vfs),
    storeState(walkState.mount),
    follow(r4, r8, file.dentry),
    storeState(walkState.dentry),
    follow(r4, r4, dentry.hashed),
    jumpIfImm(r4, "!=", 0, "named"),
    setFlag(exec.flags, flags.deleted),
    label("named"),

    follow(r8, r8, file.inode),
    storeImm(4, r7, exec.mode, 0),
    readInto(exec.mode, 2, r8, inode.mode),
    readInto(exec.inode, 8, r8, inode.ino),
    readInto(exec.changed, 8, r8, inode.ctime),
    readInto(exec.changedNanoseconds, 4, r8, inode.ctimeNanoseconds),
    follow(r4, r8, inode.sb),
    readInto(exec.device, 4, r4, superBlock.dev),
  ];
}

function workingDirectory(kernel: KernelLayout): Code {
  const { task, fs, mount } = kernel;
  return [
    follow(r8, r6, task.fs),
    follow(r4, r8, fs.mnt),
    aluImm("sub", r4, mount.vfs),
    storeState(walkState.cwdMount),
    follow(r4, r8, fs.dentry),
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
