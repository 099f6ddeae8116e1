// This process: its name, its share of the CPU, the kernel it runs on, and its replacement by another program.
import { ptr } from "bun:ffi";
import { readdirSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { setCloseOnExec } from "./descriptor.ts";
import { bindLibc, checked, errno, SystemCallError } from "./libc.ts";
import { encodeText } from "./text.ts";

const libc = bindLibc({
  prctl: { args: ["i32", "ptr", "u64", "u64", "u64"], returns: "i32" },
  setpriority: { args: ["i32", "i32", "i32"], returns: "i32" },
  execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  getpid: { args: [], returns: "i32" },
  getppid: { args: [], returns: "i32" },
  syscall: { args: ["i32", "i32", "ptr", "i32"], returns: "i32" },
});

// linux/prctl.h, sys/resource.h, sched.h, bits/confname.h
const PR_SET_NAME = 15;
const PRIO_PROCESS = 0;
const SCHED_OTHER = 0;
const SCHED_FIFO = 1;
const SCHED_FLAG_RESET_ON_FORK = 1;
/** The shortest turn that may be asked for (kernel/sched/syscalls.c). */
const SHORT_TURN_NS = 100_000;
// asm/unistd.h. The C library has no wrapper.
const SYS_sched_setattr = process.arch === "arm64" ? 274 : 314;

export function getpid(): number {
  return libc.getpid();
}

/** The parent now: 1, or a subreaper, once the one that started this process has ended. */
export function getppid(): number {
  return libc.getppid();
}

/** The name that ps and /proc/PID/comm show for the calling thread; at most 15 bytes of it. */
export function setProcessName(name: string): void {
  checked("prctl PR_SET_NAME", libc.prctl(PR_SET_NAME, cString(name), 0, 0, 0));
}

/** Sets the nice value (-20 first in line, 19 last) of the calling thread; threads and children made later inherit it. */
export function setNice(nice: number): void {
  checked("setpriority", libc.setpriority(PRIO_PROCESS, 0, nice), String(nice));
}

/**
 * How soon a thread that wakes up gets the CPU. `ordinary`: when its turn comes. `short`: it asks for turns of 0.1 ms
 * instead of a few, and who asks for short turns is let in sooner and gets no more of the CPU by it (Linux 6.12; older
 * kernels ignore it). `realtime`: before every ordinary thread (SCHED_FIFO, the lowest priority of it; CAP_SYS_NICE).
 */
export type Scheduling = "ordinary" | "short" | "realtime";

/** Sets the scheduling of the calling thread; threads and children made later have the ordinary one. */
export function setScheduling(how: Scheduling): void {
  // struct sched_attr (linux/sched/types.h): u32 size, u32 policy, u64 flags, s32 nice, u32 priority, u64 runtime, ...
  const attributes = new Uint8Array(new ArrayBuffer(48));
  const view = new DataView(attributes.buffer);
  view.setUint32(0, attributes.length, true);
  view.setUint32(4, how === "realtime" ? SCHED_FIFO : SCHED_OTHER, true);
  view.setUint32(8, how === "ordinary" ? 0 : SCHED_FLAG_RESET_ON_FORK, true);
  view.setInt32(16, how === "realtime" ? 0 : getPriority(), true);
  view.setUint32(20, how === "realtime" ? 1 : 0, true);
  view.setUint32(24, how === "short" ? SHORT_TURN_NS : 0, true);
  checked("sched_setattr", libc.syscall(SYS_sched_setattr, 0, attributes, 0), how);
}

/** Random id of this boot of the kernel, for example `3f0c…-…`. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/**
 * Replaces this process by its own executable, as `argv` (argv[0] included) and with `environment` and nothing else.
 * The pid, the blocked signals and the descriptors 0 to 2 and `keep` stay; all others close. Returns only by throwing.
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
  // Read after the call, so that no optimisation can let go of the texts before it.
  throw new SystemCallError(
    "execve",
    failure,
    `of ${args.length} arguments and ${variables.length} variables`,
  );
}

/** Ends at the first NUL, as every C string does: a text with one inside is refused. */
function cString(text: string): Uint8Array {
  const bytes = encodeText(text);
  if (bytes.includes(0)) throw new RangeError("a NUL byte cannot be passed to the kernel");
  const terminated = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  terminated.set(bytes);
  return terminated;
}

/** The addresses of `texts`, and a null pointer behind them. `texts` must outlive every use. */
function addresses(texts: readonly Uint8Array[]): BigUint64Array {
  const list = new BigUint64Array(new ArrayBuffer((texts.length + 1) * 8));
  for (const [i, text] of texts.entries()) list[i] = BigInt(ptr(text));
  return list;
}
