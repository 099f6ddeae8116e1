// /proc/PID/cmdline (proc_pid_cmdline(5)): the arguments, each ended by a NUL byte.
import { decodeText } from "../text.ts";

/**
 * The arguments in `bytes[0, length)`. The last needs no NUL behind it: it may have been cut off, or the process has
 * written a title of its own. No bytes, no arguments: a kernel thread, a zombie, or really none.
 */
export function parseArguments(bytes: Uint8Array, length: number): string[] {
  if (length === 0) return [];
  const end = bytes[length - 1] === 0 ? length - 1 : length;
  return decodeText(bytes, 0, end).split("\0");
}
