// poll(2): checks one descriptor, where an epoll set is not worth creating.
import { bindLibc, EINTR, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({ poll: { args: ["ptr", "u64", "i32"], returns: "i32" } });

// poll.h
const POLLIN = 0x1;
const POLLOUT = 0x4;
const POLLHUP = 0x10;
const POLLRDHUP = 0x2000;

// struct pollfd { int fd; short events; short revents }
const record = new Int32Array(new ArrayBuffer(8));

/**
 * The events that `fd` is ready for. Waits up to `ms` milliseconds for one of `events`, without limit if `ms` is -1.
 */
function ready(fd: number, events: number, ms = 0): number {
  record[0] = fd;
  record[1] = events;
  if (libc.poll(record, 1, ms) >= 0) return (record[1] ?? 0) >>> 16;
  const failure = errno();
  if (failure === EINTR) return 0;
  throw new SystemCallError("poll", failure);
}

/** True if a read would not block. Also if the other end of a pipe or socket was closed. */
export function isReadable(fd: number): boolean {
  return (ready(fd, POLLIN) & POLLIN) !== 0;
}

/** True if a write of up to 4,096 bytes (PIPE_BUF) would not block. */
export function isWritable(fd: number): boolean {
  return (ready(fd, POLLOUT) & POLLOUT) !== 0;
}

/** Waits until a write would not block, the reader has closed its end, or a signal arrives. */
export function waitWritable(fd: number): void {
  ready(fd, POLLOUT, -1);
}

/**
 * True if the terminal behind `fd` was closed, or the other end of a pipe or socket. Also if a socket was shut down for
 * reading at this end or for writing at the other one (shutdown(2)): nothing can arrive any more.
 */
export function isHungUp(fd: number): boolean {
  return (ready(fd, POLLRDHUP) & (POLLHUP | POLLRDHUP)) !== 0;
}
