// Gives memory that only the start of a process needed back to the kernel, and keeps what it needs from being taken.
import { readFileSync, statSync } from "node:fs";
import { bindLibc, checked } from "./libc.ts";

const libc = bindLibc({ syscall: { args: ["i64", "i64", "i64", "i64"], returns: "i64" } });

// asm/unistd.h
const SYS_mlock2 = process.arch === "arm64" ? 284 : 325;
// asm-generic/mman-common.h: what is in memory is locked now, the rest when it is used (4.4)
const MLOCK_ONFAULT = 1;
/** proc_pid_maps(5): addresses in hexadecimal, permissions, offset, device, inode. */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ (\d+)/;

/**
 * Keeps the parts of its own program that this process uses in memory, also where memory is short: whoever can cause that
 * could otherwise make it wait for the disk. Only what is read from the file, and so shared by all processes of the program:
 * locked private memory could not be given back to the kernel. Needs RLIMIT_MEMLOCK above the size of the file; throws a
 * SystemCallError otherwise.
 */
export function lockProgram(): void {
  const { ino } = statSync("/proc/self/exe");
  for (const line of readFileSync("/proc/self/maps", "latin1").split("\n")) {
    const [, start = "", end = "", permissions = "", inode] = MAPPING.exec(line) ?? [];
    if (Number(inode) !== ino || permissions.includes("w")) continue;
    const [first, last] = [Number.parseInt(start, 16), Number.parseInt(end, 16)];
    checked("mlock2", Number(libc.syscall(SYS_mlock2, first, last - first, MLOCK_ONFAULT)));
  }
}

/**
 * For how long the event loop runs after code was discarded. Measured: with 10 ms, or with a single call of Bun.shrink(),
 * every other warden kept the memory of its code.
 */
const RELEASE_MS = 20;

/**
 * Discards compiled code and garbage: 3 to 5 MB of what the start of a warden has left, 7 MB after a load. To be called when
 * the process is about to wait for events. Takes some 50 ms. Functions that run again are compiled again, from the bytecode
 * in the executable file. Not for a process that reads signals from a descriptor, or the ends of its children by
 * waitid(2): the runtime's event loop waits with an empty signal mask (epoll_pwait) and reaps children, so that a signal
 * or an end of that moment is lost.
 */
export async function releaseMemory(): Promise<void> {
  await discardCode();
  Bun.shrink();
  await Bun.sleep(RELEASE_MS);
  Bun.gc(true);
}

/** The memory of a process, as what decides when to give it back sees it. */
export interface ProcessMemory {
  /** Collects all garbage. */
  readonly collect: () => void;
  /** Discards compiled code and garbage. */
  readonly release: () => Promise<void>;
  /** Resident memory in bytes. */
  readonly resident: () => number;
}

/** That of this process. */
export const ownMemory: ProcessMemory = {
  collect: () => Bun.gc(true),
  release: releaseMemory,
  resident: () => process.memoryUsage.rss(),
};

/**
 * Discards compiled code and garbage between two parts of a start. What the next part allocates then takes the place of
 * what this one has left, instead of lying behind it for as long as the process lives. Takes some 25 ms; the restrictions
 * of `releaseMemory` apply.
 */
export async function discardCode(): Promise<void> {
  // No code is discarded while a collection is under way: this one ends before it returns.
  Bun.gc(true);
  // Takes effect when no function runs, so in the turn of the event loop that follows. Nothing else in the runtime
  // discards code; if a later version drops this function, tsc says so.
  Bun.shrink();
  // Part of what a start has used is held until the event loop has had a turn.
  await Bun.sleep(0);
  Bun.gc(true);
}

/**
 * Waits for `ms`, and discards compiled code and garbage meanwhile. For a process that may not wait any longer than that in
 * the event loop, see `releaseMemory`.
 */
export async function sleepAndRelease(ms: number): Promise<void> {
  Bun.shrink();
  await Bun.sleep(ms);
  Bun.gc(true);
}
