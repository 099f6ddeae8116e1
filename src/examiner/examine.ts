// Examines one file: which package owns it, and whether it is still as the package installed it.
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
  writeSync,
} from "node:fs";
import { encodeText } from "../linux/text.ts";
import type { FileDigest, PackageDatabase } from "./database.ts";
import { readText } from "./files.ts";
import type { ExaminedContent, ExaminerAnswer, ExaminerQuestion } from "./protocol.ts";

/** A file whose ctime is less than 3 s old may change again without a new ctime, because clock ticks are coarse. */
const SETTLED_SECONDS = 3;
/** Files larger than this many bytes are not read, because that would take too long. */
const MAX_BYTES = 1 << 30;
const MAX_DIGEST_BYTES = 1 << 28;
/** fcntl.h; reading does not change the file's access time. */
const O_NOATIME = 0o1000000;
/** fcntl.h; the descriptor refers to the file without opening it. */
const O_PATH = 0o10000000;
const chunk = Buffer.alloc(1 << 18);

export interface ExamineOptions {
  /** Root directory of the examined system, empty for `/`. */
  readonly root?: string;
  /** The current time in milliseconds since the epoch. */
  readonly now?: () => number;
  /** The digest of the content is wanted. */
  readonly digest?: boolean;
}

/**
 * Answers one question. The file is opened once and its device and inode are compared, so that a file that has replaced
 * the one that was run is never examined in its place. May block as long as the file system does.
 */
export function examine(
  question: ExaminerQuestion,
  database: PackageDatabase | undefined,
  { root = "", now = Date.now, digest: wantsDigest = false }: ExamineOptions = {},
): ExaminerAnswer {
  const { path, device, inode } = question;
  const unknown: ExaminerAnswer = { type: "answer", path, device, inode, final: true };
  const fd = openQuietly(`${root}${path}`, inode);
  if (fd === undefined) return unknown;
  try {
    const file = fstatSync(fd);
    if (!isOn(device, file, fd)) return unknown;
    const changed = file.ctimeMs / 1000;
    const content =
      wantsDigest && file.size <= MAX_DIGEST_BYTES ? digestOf(fd, file.size, "sha256") : undefined;
    if (!sameAs(file, fstatSync(fd))) return { ...unknown, changed, final: false };
    const examined = {
      ...unknown,
      changed,
      ...(content === undefined ? {} : { digest: `sha256:${content}` }),
    };
    if (database === undefined) return examined;
    // Checked before and after: while a package is being unpacked, its database does not know all of its files.
    const isSettled = (): boolean => database.isCurrent() && !database.isBusy();
    if (!isSettled()) return { ...examined, final: false };
    const owned = database.owner(path);
    const digest = file.size > MAX_BYTES ? undefined : owned?.digest;
    const modified =
      digest === undefined ? undefined : digestOf(fd, file.size, digest.algorithm) !== digest.hex;
    if (!isSettled()) return { ...examined, final: false };
    return {
      ...examined,
      package: owned?.package.slice(0, 255) ?? null,
      unpackaged: owned === undefined,
      ...(modified === undefined ? {} : { modified }),
      final: now() / 1000 - changed >= SETTLED_SECONDS && sameAs(file, fstatSync(fd)),
    };
  } finally {
    closeSync(fd);
  }
}

/**
 * Reads the content of a runnable's file: the one behind `pathFd`, an O_PATH descriptor that the caller closes, else the
 * one at `path`. May block as long as the file system does.
 */
export function examineContent(
  path: string,
  pathFd: number | undefined,
  database: PackageDatabase | undefined,
  root = "",
): ExaminedContent {
  const owned = database?.owner(path);
  const fd = pathFd === undefined ? openWherever(`${root}${path}`) : reopenRegular(pathFd);
  if (fd === undefined) return { packaged: owned !== undefined };
  try {
    const before = fstatSync(fd, { bigint: true });
    const size = Number(before.size);
    const state = {
      device: Number(before.dev),
      inode: Number(before.ino),
      size,
      modified: Math.max(0, Number(before.mtimeNs)),
      changed: Math.max(0, Number(before.ctimeNs)),
    };
    const isReadable = size <= MAX_DIGEST_BYTES;
    if (database !== undefined && owned !== undefined) {
      const { shipped } = owned.shipped === undefined ? (database.owner(targetOf(fd, root)) ?? owned) : owned;
      const isShipped =
        shipped === undefined || !isReadable || digestOf(fd, size, shipped.algorithm) === shipped.hex;
      // While packages are installed, files are replaced, and the database may not agree with them.
      if (database.isBusy() || !database.isCurrent()) return { packaged: true };
      if (isShipped) return { packaged: true, state };
    }
    const hex = isReadable ? digestOf(fd, size, "sha256") : undefined;
    const after = fstatSync(fd, { bigint: true });
    const isWhole = after.mtimeNs === before.mtimeNs && after.size === before.size;
    return { packaged: false, state, ...(hex === undefined || !isWhole ? {} : { digest: `sha256:${hex}` }) };
  } finally {
    closeSync(fd);
  }
}

/**
 * Copies the regular file behind `pathFd`, an O_PATH descriptor, to the empty file `target`; both stay open. Returns digest
 * (`sha256:...`) and size of the copy. Undefined if the file has more than `limit` bytes or cannot be read, if it was
 * changed meanwhile, or if the copy cannot be written: what `target` holds then is of no use. May block as `examine`.
 */
export function copyContent(
  pathFd: number,
  target: number,
  limit: number,
): { readonly digest: string; readonly size: number } | undefined {
  const fd = reopenRegular(pathFd);
  if (fd === undefined) return undefined;
  try {
    const before = fstatSync(fd, { bigint: true });
    if (before.size > limit) return undefined;
    const hash = createHash("sha256");
    let size = 0;
    for (;;) {
      const count = readSync(fd, chunk, 0, chunk.length, size);
      if (count === 0) break;
      if (size + count > limit) return undefined;
      hash.update(chunk.subarray(0, count));
      for (let written = 0; written < count; )
        written += writeSync(target, chunk, written, count - written, size + written);
      size += count;
    }
    const after = fstatSync(fd, { bigint: true });
    if (after.mtimeNs !== before.mtimeNs || after.size !== before.size) return undefined;
    return { digest: `sha256:${hash.digest("hex")}`, size };
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** The path of an open file below `root`, without links: the owner of a link does not say what it leads to. */
function targetOf(fd: number, root: string): string {
  const path = readlinkSync(`/proc/self/fd/${fd}`);
  return path.startsWith(`${root}/`) ? path.slice(root.length) : path;
}

/** Opens the regular file that `path` leads to, through links too; undefined if there is none. */
function openWherever(path: string): number | undefined {
  let pathFd: number | undefined;
  try {
    pathFd = openSync(Buffer.from(encodeText(path)), O_PATH);
    return reopenRegular(pathFd);
  } catch {
    return undefined;
  } finally {
    if (pathFd !== undefined) closeSync(pathFd);
  }
}

/** Opens what an O_PATH descriptor refers to; undefined if that is no regular file, or cannot be read. */
function reopenRegular(pathFd: number): number | undefined {
  try {
    return fstatSync(pathFd).isFile() ? reopen(pathFd) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Opens the regular file at `path` without following links; undefined if it is missing or has another inode. The check
 * uses an O_PATH descriptor, which does not open the file: a user may have replaced the program by a device or a pipe,
 * and opening those can have effects, such as starting a watchdog or unblocking a writer.
 */
function openQuietly(path: string, inode: number): number | undefined {
  let pathFd: number | undefined;
  try {
    pathFd = openSync(Buffer.from(encodeText(path)), O_PATH | constants.O_NOFOLLOW);
    const file = fstatSync(pathFd);
    return file.isFile() && file.ino === inode ? reopen(pathFd) : undefined;
  } catch {
    return undefined;
  } finally {
    if (pathFd !== undefined) closeSync(pathFd);
  }
}

/** Opens the file that an O_PATH descriptor refers to for reading. */
function reopen(pathFd: number): number {
  const file = `/proc/self/fd/${pathFd}`;
  const quiet = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  try {
    return openSync(file, quiet | O_NOATIME);
  } catch {
    // O_NOATIME on another user's file needs CAP_FOWNER.
    return openSync(file, quiet);
  }
}

/**
 * True if the open file is on `device`, given either as in stat(2) or as the device of the mount. The eBPF sensor
 * reports the latter, which differs on btrfs and overlay.
 */
function isOn(device: number, file: Stats, fd: number): boolean {
  if (file.dev === device) return true;
  const mount = /^mnt_id:\s*([0-9]+)$/m.exec(readText(`/proc/self/fdinfo/${fd}`) ?? "")?.[1];
  if (mount === undefined) return false;
  const line = new RegExp(`^${mount} [0-9]+ ([0-9]+):([0-9]+) `, "m").exec(
    readText("/proc/self/mountinfo") ?? "",
  );
  return line !== null && deviceNumber(Number(line[1]), Number(line[2])) === device;
}

/** gnu_dev_makedev of sys/sysmacros.h, for majors below 4,096. */
function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 2 ** 8 + Math.floor(minor / 2 ** 8) * 2 ** 20;
}

function sameAs(before: Stats, after: Stats): boolean {
  return before.ctimeMs === after.ctimeMs && before.size === after.size;
}

function digestOf(fd: number, size: number, algorithm: FileDigest["algorithm"]): string {
  const hash = createHash(algorithm);
  for (let position = 0; position < size; ) {
    const count = readSync(fd, chunk, 0, chunk.length, position);
    if (count === 0) break;
    hash.update(chunk.subarray(0, count));
    position += count;
  }
  return hash.digest("hex");
}
