// Reads of files whose reading may never end, with a time limit: POSIX asynchronous I/O (aio(7)), which the C library
// carries out in threads of this process. A read that takes too long goes on in its thread, and no signal but one that ends
// the process can end it; its caller goes on without it.
import { dlopen, ptr } from "bun:ffi";
import { monotonicNow } from "./clock.ts";
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, EINPROGRESS, errno, isMusl } from "./libc.ts";
import { withInheritedScheduling } from "./process.ts";

const functions = {
  aio_read: { args: ["ptr"], returns: "i32" },
  aio_error: { args: ["ptr"], returns: "i32" },
  aio_return: { args: ["ptr"], returns: "i64" },
  aio_suspend: { args: ["ptr", "i32", "ptr"], returns: "i32" },
} as const;

/** Part of the C library with musl and since glibc 2.34, before that of glibc's librt. */
function bind() {
  try {
    return bindLibc(functions);
  } catch {
    return dlopen("librt.so.1", functions).symbols;
  }
}

let bound: ReturnType<typeof bind> | undefined;

/** Loads what reads need, which a filter of system calls may refuse later. Throws if this system has no aio(7). */
export function loadTimedReads(): ReturnType<typeof bind> {
  bound ??= bind();
  return bound;
}

// asm-generic/siginfo.h
const SIGEV_NONE = 1;
/** struct aiocb of aio.h on 64-bit, which glibc and musl lay out alike as far as a caller fills it in. */
const aiocb = { fd: 0, buffer: 16, length: 24, notify: 44, offset: 128, size: 168 } as const;

/** The nanoseconds of a struct timespec are less than a second. */
const MOST_NS = 999_999_999;

/**
 * glibc's threads end when they have had nothing to do for 1 s (struct aioinit), in ns and with room to spare. musl starts
 * one for each read.
 */
const THREAD_STAYS_NS = isMusl ? 0 : 500e6;
/** When a read ended last: its thread takes the next one. */
let lastEnd = Number.NEGATIVE_INFINITY;

/** Reads that were given up: their threads may still write, so that their memory must not be freed. */
const unfinished = new Set<TimedRead>();

/** One read at a time, into a buffer of its own. */
export class TimedRead {
  readonly data: Uint8Array;
  private readonly libc = loadTimedReads();
  private readonly block = new Uint8Array(new ArrayBuffer(aiocb.size));
  private readonly view = new DataView(this.block.buffer);
  private readonly list: BigUint64Array;
  // struct timespec
  private readonly time = new BigInt64Array(2);
  private fd = -1;

  /** `capacity`: the most bytes of one read. Throws if this system has no aio(7). */
  constructor(capacity: number) {
    this.data = new Uint8Array(new ArrayBuffer(capacity));
    this.list = BigUint64Array.of(BigInt(ptr(this.block)));
    this.view.setBigUint64(aiocb.buffer, BigInt(ptr(this.data)), true);
    this.view.setInt32(aiocb.notify, SIGEV_NONE, true);
  }

  /**
   * Begins to read up to `limit` bytes of `fd` from `offset` on; `fd` is closed when the read has ended. Must not be called
   * while another read has not ended. The thread that reads has the scheduling of this one: if it had to wait for other
   * programs, so would the caller. Returns 0 or -errno.
   */
  begin(fd: number, limit = this.data.length, offset = 0): number {
    this.view.setInt32(aiocb.fd, fd, true);
    this.view.setBigUint64(aiocb.length, BigInt(Math.min(limit, this.data.length)), true);
    this.view.setBigInt64(aiocb.offset, BigInt(offset), true);
    if (this.start() !== 0) {
      const failure = -errno();
      closeDescriptor(fd);
      return failure;
    }
    this.fd = fd;
    return 0;
  }

  /**
   * Waits up to `timeoutNs` for the end of the read. The number of bytes, -errno, or undefined if it has not ended: then
   * ask again, or leave it to itself.
   */
  wait(timeoutNs: number): number | undefined {
    if (this.hasEnded(timeoutNs)) {
      unfinished.delete(this);
      lastEnd = monotonicNow();
      const error = this.libc.aio_error(this.block);
      const count = Number(this.libc.aio_return(this.block));
      closeDescriptor(this.fd);
      return error === 0 ? count : -error;
    }
    unfinished.add(this);
    return undefined;
  }

  private start(): number {
    const hasThread = unfinished.size === 0 && monotonicNow() - lastEnd < THREAD_STAYS_NS;
    return hasThread
      ? this.libc.aio_read(this.block)
      : withInheritedScheduling(() => this.libc.aio_read(this.block));
  }

  private hasEnded(timeoutNs: number): boolean {
    const isPending = (): boolean => this.libc.aio_error(this.block) === EINPROGRESS;
    if (timeoutNs <= 0 || !isPending()) return !isPending();
    const end = monotonicNow() + timeoutNs;
    // A signal ends the wait early.
    for (let rest = timeoutNs; rest > 0; rest = end - monotonicNow()) {
      this.time[1] = BigInt(Math.min(rest, MOST_NS));
      this.libc.aio_suspend(this.list, 1, this.time);
      if (!isPending()) return true;
    }
    return false;
  }
}
