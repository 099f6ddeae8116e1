// Whether this process is in the namespaces of the host (namespaces(7)).
import { statSync } from "node:fs";
import { PROC_PID_INIT_INO, PROC_USER_INIT_INO } from "./kernel-constants.ts";

const inodes = { pid: PROC_PID_INIT_INO, user: PROC_USER_INIT_INO } as const;

/** Whether this process is in the initial namespace of this kind; true also if /proc does not show it. */
export function isInHostNamespace(kind: keyof typeof inodes): boolean {
  try {
    return statSync(`/proc/self/ns/${kind}`).ino === inodes[kind];
  } catch {
    return true;
  }
}
