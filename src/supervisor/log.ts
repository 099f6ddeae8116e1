// The supervisor's log on standard error. It must not block on a slow reader, nor fail without one.
import { writeSync } from "node:fs";
import { isWritable } from "../linux/poll.ts";
import { printable } from "../linux/text.ts";

const MAX_CHARACTERS = 4000;

/** Writes one line to standard error, escaped; drops it if the write would block. */
export function log(message: string): void {
  try {
    if (isWritable(2)) writeSync(2, `treewarden: ${printable(message.slice(0, MAX_CHARACTERS))}\n`);
  } catch {
    // Standard error is closed.
  }
}
