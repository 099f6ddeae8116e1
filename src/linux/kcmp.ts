// kcmp(2): whether two descriptors of two processes are the same open file.
import { constants } from "node:os";
import { bindLibc, errno } from "./libc.ts";
import { getpid } from "./process.ts";

const libc = bindLibc({ syscall: { args: ["i32", "i32", "i32", "i32", "u64", "u64"], returns: "i32" } });

// asm/unistd.h; linux/kcmp.h
const SYS_kcmp = process.arch === "arm64" ? 272 : 312;
const KCMP_FILE = 0;

/**
 * True if descriptor `theirs` of process `pid` and our `ours` came from one open(2) or socketpair(2), by inheritance.
 * False if not, if there is no such process or descriptor, or if we may not know (needs CAP_SYS_PTRACE for another
 * user's process; unlike /proc/PID/fd no CAP_DAC_READ_SEARCH). Undefined on a kernel without CONFIG_KCMP.
 */
export function isSameFile(pid: number, theirs: number, ours: number): boolean | undefined {
  const order = libc.syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, ours, theirs);
  if (order < 0 && errno() === constants.errno.ENOSYS) return undefined;
  return order === 0;
}
