// The state directory: creates it, checks its owner and mode, and locks it for one run.
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
import { folderProblem } from "../linux/root-file.ts";
import { messageOf } from "../vocabulary/errors.ts";
import type { User } from "./reporter-user.ts";

/** Why a directory cannot be used: `usage` is a mistake of the user, `notAllowed` a limit of the system. */
export interface Refusal {
  readonly kind: "usage" | "notAllowed";
  readonly reason: string;
}

/** Creates `path` if it is missing, with exactly this mode, whatever the umask is. */
function makeFolder(path: string, mode: number): void {
  if (mkdirSync(path, { recursive: true }) !== undefined) chmodSync(path, mode);
}

/**
 * Why root must not trust the files in `path`; undefined if the owner and the mode of `path` and of all folders above it
 * are right. A user who can write a folder above can put another directory in the place of this one.
 */
export function distrust(path: string): string | undefined {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return `${path} is not a directory`;
  if (stat.uid !== process.geteuid?.())
    return `${path} belongs to user ${stat.uid}, not to the user that runs treewarden`;
  if ((stat.mode & 0o022) !== 0) return `${path} can be written by others: chmod go-w ${path}`;
  const above = folderProblem(path);
  return above && `${path} ${above.reason}${above.fix === undefined ? "" : `: ${above.fix}`}`;
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

/** Every user that can open a file can lock it (flock(2)); another user must not keep treewarden from starting. */
const LOCK_MODE = 0o600;

function lock(directory: string): number | Refusal {
  const fd = openSync(
    join(directory, "lock"),
    constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
    LOCK_MODE,
  );
  // An earlier version may have created the file with another mode.
  fchmodSync(fd, LOCK_MODE);
  if (tryLock(fd)) return fd;
  const holder = /^\d+/.exec(readFileSync(fd, "latin1"))?.[0];
  closeSync(fd);
  const who = holder === undefined ? "another treewarden" : `another treewarden (pid ${holder})`;
  return { kind: "usage", reason: `${who} runs on ${directory}` };
}

/** Writes this process's pid into the lock file, for the error message of a second run. */
export function signLock(fd: number): void {
  // Writing before truncating: a reader never sees an empty file.
  ftruncateSync(fd, writeSync(fd, `${process.pid}\n`, 0));
}

/**
 * Creates `directory` (mode 0755) and `report/` in it (0750, owned by the reporter) where missing, and takes the lock.
 * Returns the lock's descriptor: the lock is held as long as any process holds a copy of it.
 */
export function takeStateDirectory(directory: string, reporter: User | null): number | Refusal {
  try {
    return prepare(directory, reporter) ?? lock(directory);
  } catch (problem) {
    const reason = messageOf(problem);
    return { kind: "notAllowed", reason: `state directory ${directory}: ${reason}` };
  }
}
