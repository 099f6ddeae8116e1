// flock(2): a lock on an open file. Every process with a copy of the descriptor holds the lock; the kernel releases it
// when the last copy is closed, also when a process is killed.
import { bindLibc, EAGAIN, EINTR, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({ flock: { args: ["i32", "i32"], returns: "i32" } });

// sys/file.h
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Takes an exclusive lock; false if another process holds it. */
export function tryLock(fd: number): boolean {
  for (;;) {
    if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
    const failure = errno();
    if (failure === EAGAIN) return false;
    if (failure !== EINTR) throw new SystemCallError("flock", failure);
  }
}
