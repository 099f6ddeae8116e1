// alarm(2): a time limit for system calls that may never return.
import { bindLibc } from "./libc.ts";

const libc = bindLibc({ alarm: { args: ["u32"], returns: "u32" } });

/**
 * Makes the kernel end this process by SIGALRM after `seconds`, even while it waits for a file system that does not
 * answer (if that wait is killable, as those of NFS and FUSE are). 0 cancels the limit.
 */
export function endAfter(seconds: number): void {
  libc.alarm(seconds);
}
