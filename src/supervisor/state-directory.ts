// The state directory: there, root's, and ours alone.
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { tryLock } from "../linux/flock.ts";
import { messageOf } from "../vocabulary/errors.ts";
import type { User } from "./reporter-user.ts";

/** Why a directory cannot be used: `usage` is the user's to change, `notAllowed` the system's. */
export interface Refusal {
  readonly kind: "usage" | "notAllowed";
  readonly reason: string;
}

/** Makes `path` if it is missing, with exactly this mode, whatever the umask. */
function makeFolder(path: string, mode: number): void {
  if (mkdirSync(path, { recursive: true }) !== undefined) chmodSync(path, mode);
}

/** What is wrong with `path` as the folder from which root takes decisions, undefined if nothing is. */
export function distrust(path: string): string | undefined {
  const found = lstatSync(path);
  if (!found.isDirectory()) return `${path} is not a directory`;
  if (found.uid !== process.geteuid?.())
    return `${path} belongs to user ${found.uid}, not to the user that runs treewarden`;
  if ((found.mode & 0o022) !== 0) return `${path} can be written by others: chmod go-w ${path}`;
  return undefined;
}

function prepare(directory: string, reporter: User | null): Refusal | undefined {
  if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) makeFolder(directory, 0o755);
  const reason = distrust(directory);
  if (reason !== undefined) return { kind: "usage", reason };
  const report = join(directory, "report");
  makeFolder(report, 0o750);
  if (!lstatSync(report).isDirectory()) return { kind: "usage", reason: `${report} is not a directory` };
  if (reporter !== null) chownSync(report, reporter.uid, reporter.gid);
  return undefined;
}

/** Whoever may read a file may lock it (flock(2)), and nobody else is to keep treewarden from starting. */
const LOCK_MODE = 0o600;

function lock(directory: string): number | Refusal {
  const fd = openSync(
    join(directory, "lock"),
    constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
    LOCK_MODE,
  );
  // Also one that an earlier version made.
  fchmodSync(fd, LOCK_MODE);
  if (tryLock(fd)) return fd;
  const holder = /^\d+/.exec(readFileSync(fd, "latin1"))?.[0];
  closeSync(fd);
  const who = holder === undefined ? "another treewarden" : `another treewarden (pid ${holder})`;
  return { kind: "usage", reason: `${who} runs on ${directory}` };
}

/** Writes who holds the lock into it, for whoever finds it taken. */
export function signLock(fd: number): void {
  // In this order it is never empty for a reader.
  ftruncateSync(fd, writeSync(fd, `${process.pid}\n`, 0));
}

/**
 * Makes what is missing of `directory` (0755, and in it `report/`, 0750, the reporter's own), and takes its lock.
 * Gives the lock's descriptor: whoever holds a copy holds the directory.
 */
export function takeStateDirectory(directory: string, reporter: User | null): number | Refusal {
  try {
    return prepare(directory, reporter) ?? lock(directory);
  } catch (problem) {
    const reason = messageOf(problem);
    return { kind: "notAllowed", reason: `state directory ${directory}: ${reason}` };
  }
}
