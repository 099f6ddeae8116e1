// Where the unified hierarchy of control groups (cgroups(7), version 2) is mounted, and whether all of it is visible.
import { readFileSync, statSync } from "node:fs";
import { mountPointOf } from "./mounts.ts";

export interface UnifiedHierarchy {
  readonly path: string;
  /**
   * The root of the host's hierarchy. False: this process sees a part only, as in a container that has a cgroup
   * namespace of its own.
   */
  readonly isWhole: boolean;
}

/** The inode of the root of every kernfs (fs/kernfs/dir.c): ids are given from 1 on. */
const ROOT_INODE = 1;

/** The mounted unified hierarchy, the whole one first; undefined if none is mounted here. */
export function findUnifiedHierarchy(): UnifiedHierarchy | undefined {
  let part: UnifiedHierarchy | undefined;
  for (const path of unifiedMounts(readFileSync("/proc/self/mountinfo", "latin1"))) {
    try {
      if (statSync(path).ino === ROOT_INODE) return { path, isWhole: true };
      part ??= { path, isWhole: false };
    } catch {
      // Another mount hides it.
    }
  }
  return part;
}

/** Mount points of the file system cgroup2 in the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
export function unifiedMounts(mountinfo: string): readonly string[] {
  return mountinfo.split("\n").flatMap((line) => {
    // Optional fields end with a dash; no field before it can be one.
    const [before = "", after = ""] = line.split(" - ");
    const mountPoint = mountPointOf(before);
    return after.startsWith("cgroup2 ") && mountPoint !== undefined ? [mountPoint] : [];
  });
}
