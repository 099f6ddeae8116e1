// Calls that affect or describe this process: its name, its user, its priority, the boot of its kernel, and execve.
import { ptr } from "bun:ffi";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { setCloseOnExec } from "./descriptor.ts";
import { bindLibc, checked, errno, SystemCallError } from "./libc.ts";
import { systemCall } from "./system-calls.ts";
import { cString } from "./text.ts";

const libc = bindLibc({
  prctl: { args: ["i32", "ptr", "u64", "u64", "u64"], returns: "i32" },
  setpriority: { args: ["i32", "i32", "i32"], returns: "i32" },
  execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  getpid: { args: [], returns: "i32" },
  getppid: { args: [], returns: "i32" },
  syscall: { args: ["i32", "i32", "ptr", "i32"], returns: "i32" },
});
// The same function with an argument that is a number.
const numeric = bindLibc({ prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" } });

// linux/prctl.h, sys/resource.h, sched.h, bits/confname.h
const PR_SET_NAME = 15;
const PR_SET_DUMPABLE = 4;
const PRIO_PROCESS = 0;
const SCHED_OTHER = 0;
const SCHED_FIFO = 1;
const SCHED_FLAG_RESET_ON_FORK = 1;
/** The shortest time slice that may be requested (kernel/sched/syscalls.c). */
const SHORT_SLICE_NS = 100_000;
// The C library has no wrapper.
const SYS_sched_setattr = systemCall("sched_setattr");

export function getpid(): number {
  return libc.getpid();
}

/** The current parent: once the process that started this one has ended, it is 1 or a subreaper. */
export function getppid(): number {
  return libc.getppid();
}

/** Sets the name that ps and /proc/PID/comm show for the calling thread; only the first 15 bytes are used. */
export function setProcessName(name: string): void {
  checked("prctl PR_SET_NAME", libc.prctl(PR_SET_NAME, cString(name), 0, 0, 0));
}

/**
 * Closes this process to other processes of its user: they can neither trace it nor copy its descriptors nor read its
 * memory and environment, and it leaves no core dump (PR_SET_DUMPABLE). A process with CAP_SYS_PTRACE still can. Must
 * be called again after an execve, which resets it.
 */
export function forbidInspection(): void {
  checked("prctl PR_SET_DUMPABLE", numeric.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Gives up root's rights for good: this process becomes `user`, without supplementary groups, in all its threads. */
export function becomeUser({ uid, gid }: User): void {
  process.setgroups?.([]);
  process.setgid?.(gid);
  process.setuid?.(uid);
  // With fs.suid_dumpable=1 a change of the user opens the process to inspection again.
  forbidInspection();
}

/**
 * Sets the nice value (-20 first in line, 19 last) of the calling thread; threads and children made later inherit it.
 */
export function setNice(nice: number): void {
  checked("setpriority", libc.setpriority(PRIO_PROCESS, 0, nice), String(nice));
}

/**
 * As `setNice`, for the group that the scheduler made of the session of `pid` (sched(7), autogroup): where there is one,
 * nice values count only within it. False if there is none, or without CAP_SYS_NICE.
 */
export function setSessionNice(pid: number, nice: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(nice));
    return true;
  } catch {
    return false;
  }
}

/**
 * How soon a woken thread gets the CPU. `ordinary`: by the default scheduling. `short`: it requests time slices of 0.1
 * ms instead of a few ms, so that it runs sooner but gets no larger share of the CPU (Linux 6.12; older kernels
 * ignore it). `realtime`: before every ordinary thread (SCHED_FIFO with the lowest priority; needs CAP_SYS_NICE).
 */
export type Scheduling = "ordinary" | "short" | "realtime";

/** Sets the scheduling of the calling thread; threads and children made later have the ordinary one. */
export function setScheduling(scheduling: Scheduling): void {
  requestScheduling(scheduling, scheduling !== "ordinary");
  currentScheduling = scheduling;
}

/** What `setScheduling` set last. */
let currentScheduling: Scheduling = "ordinary";

/** Calls `start`. A thread that it makes has the scheduling of the calling thread, if this process has the right to that. */
export function withInheritedScheduling<T>(start: () => T): T {
  if (currentScheduling === "ordinary") return start();
  try {
    requestScheduling(currentScheduling, false);
  } catch {
    return start();
  }
  try {
    return start();
  } finally {
    requestScheduling(currentScheduling, true);
  }
}

function requestScheduling(scheduling: Scheduling, isResetOnFork: boolean): void {
  // struct sched_attr (linux/sched/types.h): u32 size, u32 policy, u64 flags, s32 nice, u32 priority, u64 runtime, ...
  const attributes = new Uint8Array(new ArrayBuffer(48));
  const view = new DataView(attributes.buffer);
  view.setUint32(0, attributes.length, true);
  view.setUint32(4, scheduling === "realtime" ? SCHED_FIFO : SCHED_OTHER, true);
  view.setUint32(8, isResetOnFork ? SCHED_FLAG_RESET_ON_FORK : 0, true);
  view.setInt32(16, scheduling === "realtime" ? 0 : getPriority(), true);
  view.setUint32(20, scheduling === "realtime" ? 1 : 0, true);
  view.setUint32(24, scheduling === "short" ? SHORT_SLICE_NS : 0, true);
  checked("sched_setattr", libc.syscall(SYS_sched_setattr, 0, attributes, 0), scheduling);
}

/** Random id of this boot of the kernel, for example `3f0c…-…`. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/**
 * Replaces this process by its own executable (execve), with `argv` (including argv[0]) and exactly `environment`. The
 * pid, the blocked signals and the descriptors 0 to 2 and `keep` stay; all others close. Never returns: throws on
 * failure.
 */
export function replaceProcess(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  keep: readonly number[] = [],
): never {
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (fd < 3) continue;
    try {
      setCloseOnExec(fd, !keep.includes(fd));
    } catch {
      // The descriptor of the listing itself is closed by now.
    }
  }
  const path = cString("/proc/self/exe");
  const args = argv.map(cString);
  const variables = Object.entries(environment).map(([name, value]) => cString(`${name}=${value}`));
  const pinned = [addresses(args), addresses(variables)] as const;
  libc.execve(path, pinned[0], pinned[1]);
  const failure = errno();
  // Using the arrays after the call keeps the garbage collector from freeing the strings before it.
  throw new SystemCallError(
    "execve",
    failure,
    `of ${args.length} arguments and ${variables.length} variables`,
  );
}

/** The addresses of `texts`, followed by a null pointer. `texts` must stay alive while the result is used. */
function addresses(texts: readonly Uint8Array[]): BigUint64Array {
  const list = new BigUint64Array(new ArrayBuffer((texts.length + 1) * 8));
  for (const [i, text] of texts.entries()) list[i] = BigInt(ptr(text));
  return list;
}
