// epoll(7): one blocking wait for many descriptors, without an object per wake-up.
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, checked, EINTR, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({
  epoll_create1: { args: ["i32"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  epoll_wait: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
});

// sys/epoll.h
export const EPOLLIN = 0x1;
/** Something exceptional: for files of proc(5), that what they show has changed. */
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
/** The other end of a socket was closed or shut down, or this end was shut down for reading. */
export const EPOLLRDHUP = 0x2000;
export const EPOLLET = 0x8000_0000;
const EPOLL_CLOEXEC = 0x8_0000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

// struct epoll_event { u32 events; u64 data }: packed on x86-64 only (sys/epoll.h, __EPOLL_PACKED).
const RECORD = process.arch === "x64" ? 12 : 16;
const DATA = process.arch === "x64" ? 4 : 8;

/** A set of descriptors to wait for, each with a token that the caller chooses (an unsigned 32-bit number). */
export class Poll implements Disposable {
  readonly fd: number;
  /** After `wait`: the tokens of the first `n` ready descriptors. */
  readonly tokens: Uint32Array;
  /** After `wait`: what each of them is ready for (EPOLLIN, ...), at the same index. */
  readonly events: Uint32Array;
  private readonly capacity: number;
  private readonly records: Uint8Array;
  private readonly view: DataView;
  private readonly record: Uint8Array;
  private readonly recordView: DataView;

  /** `capacity`: how many ready descriptors one `wait` reports at most; the rest come with the next. */
  constructor(capacity = 32) {
    this.capacity = capacity;
    this.tokens = new Uint32Array(capacity);
    this.events = new Uint32Array(capacity);
    this.records = new Uint8Array(new ArrayBuffer(capacity * RECORD));
    this.view = new DataView(this.records.buffer);
    this.record = new Uint8Array(new ArrayBuffer(RECORD));
    this.recordView = new DataView(this.record.buffer);
    this.fd = checked("epoll_create1", libc.epoll_create1(EPOLL_CLOEXEC));
  }

  add(fd: number, token: number, events: number): void {
    this.control(EPOLL_CTL_ADD, fd, token, events);
  }

  modify(fd: number, token: number, events: number): void {
    this.control(EPOLL_CTL_MOD, fd, token, events);
  }

  remove(fd: number): void {
    this.control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /**
   * Waits up to `timeoutMs` milliseconds (-1: for ever) and gives the number of ready descriptors. Also 0 when a
   * signal, or a stop and continue, interrupted the wait; callers loop anyway.
   */
  wait(timeoutMs: number): number {
    const ready = libc.epoll_wait(this.fd, this.records, this.capacity, timeoutMs);
    if (ready < 0) {
      const failure = errno();
      if (failure === EINTR) return 0;
      throw new SystemCallError("epoll_wait", failure);
    }
    for (let i = 0; i < ready; i += 1) {
      this.events[i] = this.view.getUint32(i * RECORD, true);
      this.tokens[i] = this.view.getUint32(i * RECORD + DATA, true);
    }
    return ready;
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }

  private control(operation: number, fd: number, token: number, events: number): void {
    this.recordView.setUint32(0, events, true);
    this.recordView.setUint32(DATA, token, true);
    checked("epoll_ctl", libc.epoll_ctl(this.fd, operation, fd, this.record), `fd ${fd}`);
  }
}
