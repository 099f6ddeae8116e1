// isatty(3). The module node:tty has it too, but loads all streams of Node.js with it: 1.7 MB in each process (Bun 1.4.5).
import { bindLibc } from "./libc.ts";

const libc = bindLibc({ isatty: { args: ["i32"], returns: "i32" } });

/** Whether the descriptor `fd` is a terminal; false for one that is not open. */
export function isTerminal(fd: number): boolean {
  return libc.isatty(fd) === 1;
}
