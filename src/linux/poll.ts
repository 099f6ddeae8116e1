// poll(2): what one descriptor is ready for, where an epoll set would be too much.
import { bindLibc, EINTR, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({ poll: { args: ["ptr", "u64", "i32"], returns: "i32" } });

// poll.h
const POLLOUT = 0x4;
const POLLHUP = 0x10;

// struct pollfd { int fd; short events; short revents }
const record = new Int32Array(new ArrayBuffer(8));

/** `ms`: how long to wait for one of `events`; -1: without end. */
function ready(fd: number, events: number, ms = 0): number {
  record[0] = fd;
  record[1] = events;
  if (libc.poll(record, 1, ms) >= 0) return (record[1] ?? 0) >>> 16;
  const failure = errno();
  if (failure === EINTR) return 0;
  throw new SystemCallError("poll", failure);
}

/** True if a write of up to 4,096 bytes (PIPE_BUF) would not wait now. */
export function isWritable(fd: number): boolean {
  return (ready(fd, POLLOUT) & POLLOUT) !== 0;
}

/** Waits until a write would not wait, until the reader has left, or for a signal. */
export function waitWritable(fd: number): void {
  ready(fd, POLLOUT, -1);
}

/** True if the terminal, or the other side, behind `fd` is gone. */
export function isHungUp(fd: number): boolean {
  return (ready(fd, 0) & POLLHUP) !== 0;
}
