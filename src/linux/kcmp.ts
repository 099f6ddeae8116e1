// kcmp(2): compares descriptors of two processes.
import { constants } from "node:os";
import { bindLibc, errno } from "./libc.ts";
import { getpid } from "./process.ts";
import { systemCall } from "./system-calls.ts";

const libc = bindLibc({ syscall: { args: ["i32", "i32", "i32", "i32", "u64", "u64"], returns: "i32" } });

const SYS_kcmp = systemCall("kcmp");
// linux/kcmp.h
const KCMP_FILE = 0;

/**
 * True if descriptor `theirs` of process `pid` and descriptor `ours` of this process refer to the same open file,
 * because one was inherited. False if they do not, if the process or descriptor does not exist, or if the comparison is
 * not permitted (another user's process needs CAP_SYS_PTRACE, but not CAP_DAC_READ_SEARCH as /proc/PID/fd does).
 * Undefined on a kernel without CONFIG_KCMP.
 */
export function isSameFile(pid: number, theirs: number, ours: number): boolean | undefined {
  const order = libc.syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, ours, theirs);
  if (order < 0 && errno() === constants.errno.ENOSYS) return undefined;
  return order === 0;
}
