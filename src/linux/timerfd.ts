// timerfd_create(2): timers that can be polled. Only they fire while the runtime's event loop does not run.
import { readFileSync } from "node:fs";
import { closeDescriptor, readDescriptor } from "./descriptor.ts";
import { bindLibc, checked } from "./libc.ts";

const libc = bindLibc({
  timerfd_create: { args: ["i32", "i32"], returns: "i32" },
  timerfd_settime: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
  timerfd_gettime: { args: ["i32", "ptr"], returns: "i32" },
});

// time.h, sys/timerfd.h
const CLOCK_MONOTONIC = 1;
const TFD_NONBLOCK = 0x800;
const TFD_CLOEXEC = 0x8_0000;
const SECOND = 1_000_000_000;

/** A timer on CLOCK_MONOTONIC, initially disarmed. Readable when it has expired. */
export class Timer implements Disposable {
  readonly fd: number;
  // struct itimerspec: it_interval { tv_sec, tv_nsec }, it_value { tv_sec, tv_nsec }, each 64 bits. What is written
  // here fits 32 bits, so the upper halves stay zero.
  private readonly spec = new Uint32Array(new ArrayBuffer(32));
  private readonly count = new Uint8Array(new ArrayBuffer(8));
  private readonly counted = new DataView(this.count.buffer);

  /** A new timer, or one that was inherited as descriptor `inherited`. */
  constructor(inherited?: number) {
    this.fd =
      inherited ??
      checked("timerfd_create", libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  }

  /** Expires once, `ns` nanoseconds from now (at least 1). */
  armOnce(ns: number): void {
    this.set(ns, 0);
  }

  /** Expires every `ns` nanoseconds (at least 1), for the first time `ns` from now. */
  armEvery(ns: number): void {
    this.set(ns, ns);
  }

  disarm(): void {
    this.set(0, 0);
  }

  /** Expirations since the last read; 0 if there was none. */
  read(): number {
    return readDescriptor(this.fd, this.count) === 8
      ? this.counted.getUint32(0, true) + this.counted.getUint32(4, true) * 2 ** 32
      : 0;
  }

  /**
   * Expirations since the timer was last set, if nobody reads it, and the interval in ns. Does not reset the count, so
   * that a watcher in another process sees whether the owner has set the timer again. Both are 0 while it is disarmed.
   */
  overdue(): { readonly expirations: number; readonly intervalNs: number } {
    // Not the buffer of `set`, whose upper halves stay zero.
    const spec = new Uint32Array(new ArrayBuffer(32));
    // The kernel starts the next interval of a timer that has expired only when the timer is read or looked at
    // (fs/timerfd.c, do_timerfd_gettime), so this call must come before the count is read.
    checked("timerfd_gettime", libc.timerfd_gettime(this.fd, spec));
    const intervalNs = (spec[0] ?? 0) * SECOND + (spec[2] ?? 0);
    const ticks = /^ticks:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${this.fd}`, "latin1"))?.[1];
    return { expirations: Number(ticks ?? 0), intervalNs };
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }

  private set(value: number, interval: number): void {
    const spec = this.spec;
    spec[0] = Math.floor(interval / SECOND);
    spec[2] = interval % SECOND;
    spec[4] = Math.floor(value / SECOND);
    spec[6] = value % SECOND;
    checked("timerfd_settime", libc.timerfd_settime(this.fd, 0, spec, null));
  }
}
