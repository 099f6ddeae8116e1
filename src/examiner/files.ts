// Small questions about files of the database's root. Nothing here throws for a file that is not there.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { decodeText } from "../linux/text.ts";

/** The file's text, bytes that are not UTF-8 kept as `decodeText` has it; undefined if it cannot be read. */
export function readText(path: string): string | undefined {
  try {
    return decodeText(readFileSync(path));
  } catch {
    return undefined;
  }
}

export function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Changes whenever one of these files is written or replaced. */
export function stampOf(paths: readonly string[]): string {
  return paths.map(stamp).join(" ");
}

function stamp(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false, bigint: true });
  return found === undefined
    ? "-"
    : `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
}

/** A line of /proc/locks: major and minor in hexadecimal, and the inode. */
const lock = / ([0-9a-f]+):([0-9a-f]+):([0-9]+) /g;

/** True if some process holds a lock (fcntl(2), flock(2)) on one of these files. */
export function isAnyLocked(paths: readonly string[]): boolean {
  const inodes = new Set<string>();
  for (const path of paths) {
    const found = statSync(path, { throwIfNoEntry: false, bigint: true });
    if (found !== undefined) inodes.add(String(found.ino));
  }
  if (inodes.size === 0) return false;
  // The device is not compared: on btrfs and overlay it is another one. At worst a stranger's lock delays an answer.
  for (const [, , , inode = ""] of (readText("/proc/locks") ?? "").matchAll(lock))
    if (inodes.has(inode)) return true;
  return false;
}

/** One name for one file in a root whose `/bin` is a link to `/usr/bin`, and so on; see `pathMerger`. */
export type MergePath = (path: string) => string;

const mergeable = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/sbin", "/usr/bin"];

/**
 * The links of `root` that merge directories of programs, as a function: where `/bin` is a link to `usr/bin`, `/bin/x`
 * becomes `/usr/bin/x`; where `/usr/sbin` is one to `bin`, `/usr/sbin/x` as well. Elsewhere they are two files.
 */
export function pathMerger(root: string): MergePath {
  const links = new Map<string, string>();
  for (const directory of mergeable) {
    const target = linkTarget(`${root}${directory}`);
    if (target === undefined) continue;
    const parent = directory.startsWith("/usr/") ? "/usr" : "";
    const whole = target.startsWith("/") ? target : `${parent}/${target}`;
    if (mergeable.includes(whole) || /^\/usr\/lib(?:32|64|x32)?$/.test(whole)) links.set(directory, whole);
  }
  return (path) => {
    let merged = path;
    for (let turn = 0; turn < 2; turn++) {
      const end = merged.indexOf("/", merged.startsWith("/usr/") ? 5 : 1);
      const target = end === -1 ? undefined : links.get(merged.slice(0, end));
      if (target === undefined) break;
      merged = target + merged.slice(end);
    }
    return merged;
  };
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path).replace(/\/+$/, "");
  } catch {
    return undefined;
  }
}
