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

function numbers(lines: readonly string[], prefix: string): number[] {
  const line = lines.find((candidate) => candidate.startsWith(prefix));
  if (line === undefined) return [];
  return line.slice(prefix.length).split("\t").map(Number);
}
