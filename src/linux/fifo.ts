// fifo(7): named pipes, through which two processes that know a path meet.
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { bindLibc, checked } from "./libc.ts";
import { OPEN_TO_OTHERS, ROOT_UID } from "./root-file.ts";
import { cString } from "./text.ts";

const libc = bindLibc({ mkfifo: { args: ["ptr", "u32"], returns: "i32" } });

/** Makes a named pipe at `path`, which must not be there, for its owner alone. */
export function makeFifo(path: string): void {
  checked("mkfifo", libc.mkfifo(cString(path), 0o600), path);
}

/** Opens the reading end, without waiting for a writer. Throws as node:fs does. */
export function openFifoToRead(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
}

/**
 * Opens the writing end of a named pipe that belongs to root alone; writing never waits. undefined if it is no such
 * pipe, or nobody has it open to read.
 */
export function openRootFifoToWrite(path: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  const { uid, mode } = fstatSync(fd);
  const isFifo = (mode & constants.S_IFMT) === constants.S_IFIFO;
  if (isFifo && uid === ROOT_UID && (mode & OPEN_TO_OTHERS) === 0) return fd;
  closeSync(fd);
  return undefined;
}
