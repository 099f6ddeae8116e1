// /proc/PID/status (proc_pid_status(5)): the only file with every user and group id, and the most expensive to read.
import { decodeText } from "../text.ts";
import { malformed, type ParseFailure } from "./failure.ts";

export interface ProcStatus {
  readonly realUid: number;
  readonly uid: number;
  readonly gid: number;
  /** Threads of the group. */
  readonly threads: number;
  /** The process's pid in each pid namespace it is in, the reader's first; one element outside of containers. */
  readonly namespacePids: readonly number[];
}

/** Parses `bytes[0, length)`. The name, which a process chooses, is escaped and occurs only in the first line. */
export function parseStatus(bytes: Uint8Array, length: number): ProcStatus | ParseFailure {
  const lines = decodeText(bytes, 0, length).split("\n");
  const uids = numbers(lines, "Uid:\t");
  const gids = numbers(lines, "Gid:\t");
  const [realUid, uid] = uids;
  const gid = gids[1];
  const threads = numbers(lines, "Threads:\t")[0];
  if (realUid === undefined || uid === undefined) return malformed("status", "no line Uid");
  if (gid === undefined) return malformed("status", "no line Gid");
  if (threads === undefined) return malformed("status", "no line Threads");
  return { realUid, uid, gid, threads, namespacePids: numbers(lines, "NStgid:\t") };
}

/** fs/proc/array.c: waits, and no signal but perhaps SIGKILL ends that. */
const UNINTERRUPTIBLE = "\nState:\tD";
/** fs/proc/task_mmu.c, `task_mem`: the memory has no program yet. A process without memory has no such line. */
const NO_PROGRAM = "\nVmExe:\t       0 kB\n";

/**
 * Whether the process with the status `bytes[0, length)` may be within execve(2), between the exchange of its memory and its
 * end. The kernel holds a lock then (exec_update_lock, fs/exec.c), for which whoever reads `stat` or `io`, opens `environ` or
 * `maps`, compares descriptors by kcmp(2), or (Linux 6.18) follows a link in the process's folder, waits. Its user can have it
 * held for ever: the kernel closes descriptors meanwhile, and a FUSE file of his never answers, when the memory is new, or it
 * waits, and cannot be interrupted, for the lock on the old memory, which he holds. `status` itself takes neither lock.
 */
export function mayBeInExec(bytes: Uint8Array, length: number): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  return text.includes(NO_PROGRAM, 0, "latin1") || text.includes(UNINTERRUPTIBLE, 0, "latin1");
}

function numbers(lines: readonly string[], prefix: string): number[] {
  const line = lines.find((candidate) => candidate.startsWith(prefix));
  if (line === undefined) return [];
  return line.slice(prefix.length).split("\t").map(Number);
}
