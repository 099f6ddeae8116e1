// alarm(2): an end to a system call that may never return.
import { bindLibc } from "./libc.ts";

const libc = bindLibc({ alarm: { args: ["u32"], returns: "u32" } });

/**
 * The kernel ends this process by SIGALRM after `seconds`, even while it waits for a file system that does not answer
 * (if that wait can be killed at all, as NFS's and FUSE's can). 0 takes it back.
 */
export function endAfter(seconds: number): void {
  libc.alarm(seconds);
}
