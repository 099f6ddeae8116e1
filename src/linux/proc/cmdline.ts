// /proc/PID/cmdline (proc_pid_cmdline(5)): the arguments, each ended by a NUL byte.
import { decodeText } from "../text.ts";

/**
 * Parses the arguments in `bytes[0, length)`. The last one may lack its NUL, because it was cut off or the process has
 * overwritten it with a title. Without bytes the result is empty: kernel threads and zombies have no arguments.
 */
export function parseArguments(bytes: Uint8Array, length: number): string[] {
  if (length === 0) return [];
  const end = bytes[length - 1] === 0 ? length - 1 : length;
  return decodeText(bytes, 0, end).split("\0");
}
