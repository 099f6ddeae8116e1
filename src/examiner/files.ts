// Helpers that read files of the examined system. None of them throws for a missing file.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { decodeText } from "../linux/text.ts";

/** The file's text, decoded losslessly by `decodeText`; undefined if it cannot be read. */
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

/** A string that changes whenever one of these files is written or replaced. */
export function stampOf(paths: readonly string[]): string {
  return paths.map(stamp).join(" ");
}

function stamp(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "-" : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
}

/** Matches the device (major and minor, hexadecimal) and the inode in a line of /proc/locks. */
const lock = / ([0-9a-f]+):([0-9a-f]+):([0-9]+) /g;

/** True if any process holds a lock (fcntl(2), flock(2)) on one of these files. */
export function isAnyLocked(paths: readonly string[]): boolean {
  const inodes = new Set<string>();
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
    if (stat !== undefined) inodes.add(String(stat.ino));
  }
  if (inodes.size === 0) return false;
  // Devices are not compared, because stat(2) and /proc/locks differ on btrfs and overlay. An unrelated file with the
  // same inode can at worst delay an answer.
  for (const [, , , inode = ""] of (readText("/proc/locks") ?? "").matchAll(lock))
    if (inodes.has(inode)) return true;
  return false;
}

/** Gives one name to a file that has several because `/bin` is a link to `/usr/bin`, for example; see `pathMerger`. */
export type MergePath = (path: string) => string;

const mergeable = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/sbin", "/usr/bin"];

/**
 * Reads the links of `root` that merge directories of programs, and returns a function that applies them to a path: if
 * `/bin` is a link to `usr/bin`, `/bin/x` becomes `/usr/bin/x`, and if `/usr/sbin` is a link to `bin`, `/usr/sbin/x`
 * does too. Without these links the paths name different files and stay as they are.
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
