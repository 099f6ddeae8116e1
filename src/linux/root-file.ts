// Reads files on which decisions depend, only if no user but their owner can have written them.
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { codeOf } from "./system-error.ts";

export const ROOT_UID = 0;
/** stat(2): the bits that let the group or other users write. */
export const WRITABLE_BY_OTHERS = 0o022;
/** stat(2): all permission bits of the group and of other users. */
export const OPEN_TO_OTHERS = 0o077;

/** Conditions that a file must meet to be read. Those that are undefined are not checked. */
export interface FileRules {
  /** Maximum size in bytes. */
  readonly limit: number;
  /** The user that the file must belong to. */
  readonly owner?: number;
  /** Mode bits that must not be set, such as `WRITABLE_BY_OTHERS`. */
  readonly forbiddenMode?: number;
  /** The last element of the path may be a symbolic link. */
  readonly mayBeLink?: boolean;
  /** A pipe or a terminal is read to its end. Without this only regular files are read, and reading never blocks. */
  readonly mayBePipe?: boolean;
  /** The rules for owner and mode also apply to every folder above the file. */
  readonly foldersToo?: boolean;
}

/** The rules for root's files: regular, owned by root, and writable only by root. */
export function rootOnly(limit: number): FileRules {
  return { limit, owner: ROOT_UID, forbiddenMode: WRITABLE_BY_OTHERS };
}

export type FileContent =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly problem: FileProblem };

/** Why a file was not read. `reason` is text for the user that continues a sentence after the file's name. */
export interface FileProblem {
  readonly kind: "missing" | "unreadable" | "not_regular" | "too_large" | "wrong_owner" | "wrong_mode";
  readonly reason: string;
  /** The system's error, if a call failed. */
  readonly cause?: unknown;
}

/** Reads the file at `path` if the opened file meets `rules`. */
export function readCheckedFile(path: string, rules: FileRules): FileContent {
  let fd: number;
  try {
    const problem = rules.foldersToo === true ? problemAbove(path, rules) : undefined;
    if (problem !== undefined) return { ok: false, problem };
    fd = openSync(path, flagsOf(rules));
  } catch (error) {
    return { ok: false, problem: problemOf(error) };
  }
  try {
    const file = fstatSync(fd);
    if (!file.isFile() && rules.mayBePipe !== true)
      return { ok: false, problem: { kind: "not_regular", reason: "is not a regular file" } };
    const problem = problemWith("", file, rules);
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

function flagsOf({ mayBeLink, mayBePipe }: FileRules): number {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  return O_RDONLY | O_NOCTTY | (mayBeLink === true ? 0 : O_NOFOLLOW) | (mayBePipe === true ? 0 : O_NONBLOCK);
}

function problemOf(cause: unknown): FileProblem {
  const code = codeOf(cause);
  if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing", reason: "does not exist", cause };
  if (code === "ELOOP") return { kind: "not_regular", reason: "is a symbolic link", cause };
  return { kind: "unreadable", reason: `cannot be read: ${code ?? String(cause)}`, cause };
}

/** `name`: what the reason calls the checked path, if it is not the file itself. */
function problemWith(
  name: string,
  { uid, mode }: { readonly uid: number; readonly mode: number },
  { owner, forbiddenMode = 0 }: FileRules,
): FileProblem | undefined {
  const of = name === "" ? "" : `lies below ${name}, which `;
  if (owner !== undefined && uid !== owner)
    return { kind: "wrong_owner", reason: `${of}belongs to user ${uid}, not to user ${owner}` };
  if ((mode & forbiddenMode) === 0) return undefined;
  const rights = (mode & 0o7777).toString(8).padStart(4, "0");
  return { kind: "wrong_mode", reason: `${of}is open to others: its mode is ${rights}` };
}

/** The first problem of the folders above `path`, checked both as written and with its links resolved. */
function problemAbove(path: string, rules: FileRules): FileProblem | undefined {
  const folder = dirname(path);
  for (const start of new Set([folder, realpathSync(folder)])) {
    for (let above = start; ; above = dirname(above)) {
      const found = lstatSync(above);
      // The mode of a link has no meaning; its folder decides which users can replace it.
      const mode = found.isSymbolicLink() ? 0 : found.mode;
      const problem = problemWith(above, { uid: found.uid, mode }, rules);
      if (problem !== undefined) return problem;
      if (above === dirname(above)) break;
    }
  }
  return undefined;
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
