// Names the supervisor in the lock of its state directory.
import { ftruncateSync, writeSync } from "node:fs";

/** Writes this process's pid into the lock file, for the error message of a second run. */
export function signLock(fd: number): void {
  try {
    // Writing before truncating: a reader never sees an empty file.
    ftruncateSync(fd, writeSync(fd, `${process.pid}\n`, 0));
  } catch {
    // A full disk must not prevent the start. A second run is refused all the same.
  }
}
