// The state directory: creates it, checks its owner and mode, and locks it for one run.
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
} from "node:fs";
import { join } from "node:path";
import { tryLock } from "../linux/flock.ts";
import type { User } from "../linux/process.ts";
import { folderProblem, ROOT_UID } from "../linux/root-file.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { chooseTransientUser, reporterUser } from "./reporter-user.ts";

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

function prepare(directory: string): Refusal | undefined {
  if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) makeFolder(directory, 0o755);
  const reason = distrust(directory);
  return reason === undefined ? undefined : { kind: "usage", reason };
}

/**
 * Creates the reporter's folder where it is missing. Its files are given to `reporter` if they belong to the user that
 * had the folder before, for example because the host has got a user `treewarden` meanwhile.
 */
function prepareReportFolder(directory: string, reporter: User | null): Refusal | undefined {
  const report = join(directory, "report");
  makeFolder(report, 0o750);
  const folder = lstatSync(report);
  const { uid: before, gid } = folder;
  if (!folder.isDirectory()) return { kind: "usage", reason: `${report} is not a directory` };
  if (reporter === null || (before === reporter.uid && gid === reporter.gid)) return undefined;
  // While the folder is root's, processes of the earlier user cannot exchange its files. A file with a second link may
  // also be a file of somebody else's, so it is not given away. If the folder was root's before, an earlier change was
  // interrupted, and nobody else can have put files into it.
  chownSync(report, ROOT_UID, ROOT_UID);
  for (const name of readdirSync(report)) {
    const path = join(report, name);
    const { uid, nlink } = lstatSync(path);
    if ((uid === before || before === ROOT_UID) && nlink === 1) lchownSync(path, reporter.uid, reporter.gid);
    else if (uid !== reporter.uid) {
      chownSync(report, before, gid);
      return { kind: "usage", reason: `${path} belongs to user ${uid}, not to the reporter: remove it` };
    }
  }
  chownSync(report, reporter.uid, reporter.gid);
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

export interface StateDirectory {
  /** The lock is held as long as any process holds a copy of this descriptor. */
  readonly lock: number;
  /** The user that the reporter runs as. Null: the user of this process, which is not root. */
  readonly reporter: User | null;
}

/**
 * Creates `directory` (mode 0755), takes its lock, selects the reporter's user, and creates `report/` (0750), which
 * belongs to that user. `userName`: see `reporterUser`.
 */
export function takeStateDirectory(
  directory: string,
  userName: string | undefined,
): StateDirectory | Refusal {
  const user = reporterUser(userName);
  if (user !== null && typeof user === "object" && "refusal" in user)
    return { kind: "usage", reason: user.refusal };
  let held: number | undefined;
  try {
    const refusal = prepare(directory);
    const taken = refusal ?? lock(directory);
    if (typeof taken !== "number") return taken;
    held = taken;
    const reporter = user === "transient" ? chooseTransientUser(directory) : user;
    const refused = reporter === undefined ? noUserLeft : prepareReportFolder(directory, reporter);
    if (refused === undefined && reporter !== undefined) return { lock: taken, reporter };
    closeSync(taken);
    return refused ?? noUserLeft;
  } catch (problem) {
    if (held !== undefined) closeSync(held);
    const reason = messageOf(problem);
    return { kind: "notAllowed", reason: `the state directory ${directory} cannot be used: ${reason}` };
  }
}

const noUserLeft: Refusal = {
  kind: "usage",
  reason: "no number is left for the reporter's user: add a system user treewarden",
};
