// flock(2): a lock on an open file. Whoever holds a copy of the descriptor holds the lock; the kernel lets go of it
// with the last copy, however its holders ended.
import { bindLibc, EAGAIN, EINTR, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({ flock: { args: ["i32", "i32"], returns: "i32" } });

// sys/file.h
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Takes the lock for this process alone; false if another holds it. */
export function tryLock(fd: number): boolean {
  for (;;) {
    if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
    const failure = errno();
    if (failure === EAGAIN) return false;
    if (failure !== EINTR) throw new SystemCallError("flock", failure);
  }
}
