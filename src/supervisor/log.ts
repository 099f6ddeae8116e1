// What the supervisor tells a person. It must not wait for whoever reads standard error, nor end because nobody does.
import { writeSync } from "node:fs";
import { isWritable } from "../linux/poll.ts";

const longest = 4000;

/** One line on standard error; lost if that cannot take it now. */
export function log(message: string): void {
  try {
    if (isWritable(2)) writeSync(2, `treewarden: ${message.slice(0, longest)}\n`);
  } catch {
    // Nobody is there to be told.
  }
}
