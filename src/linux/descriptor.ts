// File descriptors: reads and writes through the caller's buffer, close, and the close-on-exec flag.
import { bindLibc, checked, EAGAIN, EINTR, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({
  read: { args: ["i32", "ptr", "i32"], returns: "i32" },
  write: { args: ["i32", "ptr", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
});

// fcntl.h
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0x800;
const FD_CLOEXEC = 1;
const O_CLOEXEC = 0x8_0000;

/** Reads into `buffer`; returns the bytes read, 0 at end of file, -1 if a nonblocking descriptor has no data. */
export function readDescriptor(fd: number, buffer: Uint8Array): number {
  for (;;) {
    const got = libc.read(fd, buffer, buffer.length);
    if (got >= 0) return got;
    const failure = errno();
    if (failure === EAGAIN) return -1;
    if (failure !== EINTR) throw new SystemCallError("read", failure);
  }
}

/** Writes `buffer[0, length)`; returns the bytes written, -1 if a nonblocking descriptor would block. */
export function writeDescriptor(fd: number, buffer: Uint8Array, length = buffer.length): number {
  for (;;) {
    const put = libc.write(fd, buffer, length);
    if (put >= 0) return put;
    const failure = errno();
    if (failure === EAGAIN) return -1;
    if (failure !== EINTR) throw new SystemCallError("write", failure);
  }
}

/** Closes `fd`. Errors are ignored: Linux has released the descriptor whatever close(2) returns. */
export function closeDescriptor(fd: number): void {
  libc.close(fd);
}

export function setCloseOnExec(fd: number, close: boolean): void {
  checked("fcntl F_SETFD", libc.fcntl(fd, F_SETFD, close ? FD_CLOEXEC : 0), String(fd));
}

/** Creates a pipe: a reading end that never blocks and a writing end, both close-on-exec. */
export function createPipe(): readonly [reading: number, writing: number] {
  const ends = new Int32Array(new ArrayBuffer(8));
  checked("pipe2", libc.pipe2(ends, O_CLOEXEC));
  const [reading = -1, writing = -1] = ends;
  const flags = checked("fcntl F_GETFL", libc.fcntl(reading, F_GETFL, 0));
  checked("fcntl F_SETFL", libc.fcntl(reading, F_SETFL, flags | O_NONBLOCK));
  return [reading, writing];
}
