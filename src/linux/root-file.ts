// Reads files on which decisions depend, only if no user but root can have written or replaced them. sshd does the same
// with its keys (StrictModes in sshd_config(5)).
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { codeOf } from "./system-error.ts";

export const ROOT_UID = 0;
/** stat(2): the bits that let the group or other users write. A POSIX ACL for a further user shows in the group's bits. */
export const WRITABLE_BY_OTHERS = 0o022;
/** stat(2): all permission bits of the group and of other users. */
export const OPEN_TO_OTHERS = 0o077;
/** stat(2), S_ISVTX: in such a folder only root and an entry's owner can rename or remove the entry. */
const STICKY = 0o1000;
/** The number of links that the kernel follows before it gives up with ELOOP (MAXSYMLINKS of linux/namei.h). */
const LINKS_LIMIT = 40;

/** Conditions that a file must meet to be read. Those that are undefined are not checked. */
export interface FileRules {
  /** Maximum size in bytes. */
  readonly limit: number;
  /** The users to one of whom the file must belong. */
  readonly owners?: readonly number[];
  /** Mode bits that must not be set, such as `WRITABLE_BY_OTHERS`. */
  readonly forbiddenMode?: number;
  /** The last element of the path may be a symbolic link. */
  readonly mayBeLink?: boolean;
  /** No other user than `owners` may be able to replace the file, a folder above it, or a link on the way to it. */
  readonly foldersToo?: boolean;
}

/** The rules for root's files: regular, owned by root, and writable only by root. */
export function rootOnly(limit: number): FileRules {
  return { limit, owners: trustedOwners(), forbiddenMode: WRITABLE_BY_OTHERS };
}

/** The rules for treewarden's own files in its state directory: as `rootOnly`, and the same for the folders above. */
export function stateFile(limit: number): FileRules {
  return { ...rootOnly(limit), foldersToo: true };
}

/**
 * The rules for files that an administrator writes and that decide: configuration, policies and keys. As `stateFile`,
 * and the file may be a link, as files in /etc often are: the link, and each folder and link on the way to its target,
 * must meet the same conditions.
 */
export function decidingFile(limit: number): FileRules {
  return { ...stateFile(limit), mayBeLink: true };
}

/** The rules for files that decide nothing: anybody's, but regular and bounded. */
export function anyFile(limit: number): FileRules {
  return { limit, mayBeLink: true };
}

/** Root; and for a command that another user runs, that user, who could change what it does anyway. */
function trustedOwners(): readonly number[] {
  const own = process.geteuid?.() ?? ROOT_UID;
  return own === ROOT_UID ? [ROOT_UID] : [ROOT_UID, own];
}

export type FileContent =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly problem: FileProblem };

/** Why a file was not read. `reason` is text for the user that continues a sentence after the file's name. */
export interface FileProblem {
  readonly kind: "missing" | "unreadable" | "not_regular" | "too_large" | "wrong_owner" | "wrong_mode";
  readonly reason: string;
  /** The command that repairs it, if there is one. */
  readonly fix?: string;
  /** The system's error, if a call failed. */
  readonly cause?: unknown;
}

/** Reads the file at `path` if the opened file meets `rules`. Never blocks on what lies there, such as a named pipe. */
export function readCheckedFile(path: string, rules: FileRules): FileContent {
  let fd: number;
  try {
    const place = rules.foldersToo === true ? resolveChecked(path, rules) : path;
    if (typeof place !== "string") return { ok: false, problem: place };
    // Opening some devices has effects: a watchdog starts, a tape rewinds.
    const kind = kindProblem(statSync(place));
    if (kind !== undefined) return { ok: false, problem: kind };
    fd = openSync(place, flagsOf(rules));
  } catch (error) {
    return { ok: false, problem: problemOf(error) };
  }
  try {
    const file = fstatSync(fd);
    const problem = kindProblem(file) ?? problemWith(path, file, rules);
    if (problem !== undefined) return { ok: false, problem };
    const bytes = file.size > rules.limit ? undefined : readAll(fd, rules.limit);
    if (bytes !== undefined) return { ok: true, bytes };
    return { ok: false, problem: { kind: "too_large", reason: `is larger than ${rules.limit} bytes` } };
  } catch (error) {
    return { ok: false, problem: problemOf(error) };
  } finally {
    closeSync(fd);
  }
}

/** As `readCheckedFile`, but undefined on every problem. */
export function readCheckedFileOrNothing(path: string, rules: FileRules): Buffer | undefined {
  const content = readCheckedFile(path, rules);
  return content.ok ? content.bytes : undefined;
}

/**
 * Why root must not rely on what lies in the folder `path`: it, or a folder above it, can be changed by others.
 * Undefined if there is no reason, also if the folder does not exist below folders that only root can change.
 */
export function folderProblem(path: string): FileProblem | undefined {
  try {
    const rules = { owners: trustedOwners(), forbiddenMode: WRITABLE_BY_OTHERS, mayBeLink: true };
    const place = resolveChecked(path, rules);
    if (typeof place !== "string") return place;
    const folder = lstatSync(place);
    if (!folder.isDirectory()) return { kind: "not_regular", reason: "is not a directory" };
    return problemWith(place, folder, rules);
  } catch (error) {
    const problem = problemOf(error);
    return problem.kind === "missing" ? undefined : problem;
  }
}

function flagsOf({ mayBeLink, foldersToo }: FileRules): number {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  // `resolveChecked` has resolved every link, so there is nothing left to follow.
  const mayFollow = mayBeLink === true && foldersToo !== true;
  return O_RDONLY | O_NOCTTY | O_NONBLOCK | (mayFollow ? 0 : O_NOFOLLOW);
}

function problemOf(cause: unknown): FileProblem {
  const code = codeOf(cause);
  if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing", reason: "does not exist", cause };
  if (code === "ELOOP") return { kind: "not_regular", reason: "is a symbolic link", cause };
  const denied = code === "EACCES" || code === "EPERM";
  return {
    kind: "unreadable",
    reason: `cannot be read: ${denied ? "permission denied" : (code ?? String(cause))}`,
    ...(denied ? { fix: "run it with sudo" } : {}),
    cause,
  };
}

function kindProblem(file: Stats): FileProblem | undefined {
  if (file.isFile()) return undefined;
  return { kind: "not_regular", reason: file.isDirectory() ? "is a directory" : "is not a regular file" };
}

type Rights = Pick<FileRules, "owners" | "forbiddenMode">;

/** `subject` precedes the reason if the checked path is not the file that was asked for. */
function problemWith(
  path: string,
  { uid, mode }: Pick<Stats, "uid" | "mode">,
  { owners, forbiddenMode = 0 }: Rights,
  subject = "",
): FileProblem | undefined {
  if (owners !== undefined && !owners.includes(uid)) {
    const reason = `${subject}belongs to user ${uid}, not to root`;
    return { kind: "wrong_owner", reason, fix: `chown root ${path}` };
  }
  if ((mode & forbiddenMode) === 0) return undefined;
  const rights = (mode & 0o7777).toString(8).padStart(4, "0");
  const isWritable = (mode & forbiddenMode & WRITABLE_BY_OTHERS) !== 0;
  return {
    kind: "wrong_mode",
    reason: `${subject}can be ${isWritable ? "written" : "read"} by others: its mode is ${rights}`,
    fix: `chmod ${isWritable ? "go-w" : "go="} ${path}`,
  };
}

/**
 * The folders above may be writable by all if they are sticky, as /tmp is: what root owns in them, only root can rename
 * or remove (sticky bit, chmod(1)). That the next element belongs to root is checked with that element.
 */
function problemWithFolder(path: string, folder: Stats, rules: Rights): FileProblem | undefined {
  const { owners } = rules;
  const mode = (folder.mode & STICKY) === 0 ? folder.mode : folder.mode & ~WRITABLE_BY_OTHERS;
  const forbiddenMode = (rules.forbiddenMode ?? 0) & WRITABLE_BY_OTHERS;
  const subject = `lies below ${path}, which `;
  return problemWith(path, { uid: folder.uid, mode }, { ...(owners && { owners }), forbiddenMode }, subject);
}

/**
 * The path without links, after a check of every folder and link on the way. Links are resolved one by one, because a
 * user who can replace one in the middle chooses which file is read. Throws the system's error if a call fails.
 */
function resolveChecked(
  path: string,
  rules: Rights & { readonly mayBeLink?: boolean },
): string | FileProblem {
  const left = elementsOf(path.startsWith("/") ? path : `${process.cwd()}/${path}`);
  let links = 0;
  let at = "/";
  const above = problemWithFolder(at, lstatSync(at), rules);
  if (above !== undefined) return above;
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (name === "..") {
      at = dirname(at);
      continue;
    }
    const next = join(at, name);
    const found = lstatSync(next);
    if (found.isSymbolicLink()) {
      links += 1;
      if ((left.length === 0 && rules.mayBeLink !== true) || links > LINKS_LIMIT)
        return { kind: "not_regular", reason: "is a symbolic link" };
      // The mode of a link has no meaning.
      const problem = problemWith(next, { uid: found.uid, mode: 0 }, rules, `leads over ${next}, which `);
      if (problem !== undefined) return { ...problem, fix: `chown -h root ${next}` };
      const target = readlinkSync(next);
      if (target.startsWith("/")) at = "/";
      left.push(...elementsOf(target));
      continue;
    }
    at = next;
    if (left.length === 0) break;
    const problem = problemWithFolder(at, found, rules);
    if (problem !== undefined) return problem;
  }
  return at;
}

/** The elements of a path, the last one first. */
function elementsOf(path: string): string[] {
  return path
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .reverse();
}

/** Reads to the end; undefined if there are more than `limit` bytes. The file may grow while it is read. */
function readAll(fd: number, limit: number): Buffer | undefined {
  const pieces: Buffer[] = [];
  for (let length = 0; ; ) {
    const piece = Buffer.allocUnsafe(Math.min(1 << 20, limit - length + 1));
    const got = readSync(fd, piece);
    if (got === 0) return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
    length += got;
    if (length > limit) return undefined;
    pieces.push(piece.subarray(0, got));
  }
}
