// One look at one file: which package it belongs to, and whether it still is what the package brought.
import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { encodeText } from "../linux/text.ts";
import type { FileDigest, PackageDatabase } from "./database.ts";
import { readText } from "./files.ts";
import type { ExaminerAnswer, ExaminerQuestion } from "./protocol.ts";

/** A change within the clock's last tick keeps the ctime (and warden and examiner may disagree about it): seconds. */
const YOUNG = 3;
/** Larger files are not read: nobody waits for that. */
const LARGEST = 1 << 30;
const LARGEST_DIGEST = 1 << 28;
/** fcntl.h; asks not to leave a trace in the file's access time. */
const O_NOATIME = 0o1000000;
/** fcntl.h; a descriptor that only names the file. */
const O_PATH = 0o10000000;
const chunk = Buffer.alloc(1 << 18);

export interface ExamineOptions {
  /** Where the system lies, empty for `/`. */
  readonly root?: string;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** The digest of the content is wanted. */
  readonly digest?: boolean;
}

/**
 * Answers one question. The file is opened once and asked for its identity, so that what is at the path by now is
 * never taken for what was run. May hang for as long as the file system does.
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
      wantsDigest && file.size <= LARGEST_DIGEST ? digestOf(fd, file.size, "sha256") : undefined;
    if (!sameAs(file, fstatSync(fd))) return { ...unknown, changed, final: false };
    const looked = {
      ...unknown,
      changed,
      ...(content === undefined ? {} : { digest: `sha256:${content}` }),
    };
    if (database === undefined) return looked;
    // Asked before and after: a package that is being unpacked has files that its database does not know yet.
    const steady = (): boolean => database.isCurrent() && !database.isBusy();
    if (!steady()) return { ...looked, final: false };
    const owned = database.owner(path);
    const digest = file.size > LARGEST ? undefined : owned?.digest;
    const modified =
      digest === undefined ? undefined : digestOf(fd, file.size, digest.algorithm) !== digest.hex;
    if (!steady()) return { ...looked, final: false };
    return {
      ...looked,
      package: owned?.package.slice(0, 255) ?? null,
      unpackaged: owned === undefined,
      ...(modified === undefined ? {} : { modified }),
      final: now() / 1000 - changed >= YOUNG && sameAs(file, fstatSync(fd)),
    };
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens the regular file of that inode; undefined if there is another one at `path`, or none. A look comes first, by a
 * descriptor that opens nothing: whoever ran a program may have put a device or a pipe in its place since, and to open
 * one can start a watchdog or let a writer go on. Follows no link.
 */
function openQuietly(path: string, inode: number): number | undefined {
  let seen: number | undefined;
  try {
    seen = openSync(Buffer.from(encodeText(path)), O_PATH | constants.O_NOFOLLOW);
    const file = fstatSync(seen);
    return file.isFile() && file.ino === inode ? openSeen(seen) : undefined;
  } catch {
    return undefined;
  } finally {
    if (seen !== undefined) closeSync(seen);
  }
}

function openSeen(seen: number): number {
  const file = `/proc/self/fd/${seen}`;
  const quiet = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  try {
    return openSync(file, quiet | O_NOATIME);
  } catch {
    // Not to touch the access time of somebody else's file needs CAP_FOWNER.
    return openSync(file, quiet);
  }
}

/**
 * True if the open file lies on `device`: as stat(2) has it, or as the kernel has it for the mount, which is what the
 * eBPF sensor sees and another number on btrfs and overlay.
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
  for (let at = 0; at < size; ) {
    const got = readSync(fd, chunk, 0, chunk.length, at);
    if (got === 0) break;
    hash.update(chunk.subarray(0, got));
    at += got;
  }
  return hash.digest("hex");
}
