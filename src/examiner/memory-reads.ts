// Reads the files in /proc whose content lies in the memory of a process, such as `environ` and `maps`. The kernel takes the
// lock on that memory for it, which a user can hold on processes of his own for ever (see `LimitedReads`). So each file has
// a time limit: otherwise nobody's question would be answered until the examiner is replaced.
import { monotonicNow } from "../linux/clock.ts";
import { copyHigh } from "../linux/spawn.ts";
import { TimedRead } from "../linux/timed-read.ts";

/** Bytes of one read; the kernel gives one page of `maps` at a time. */
const CHUNK_BYTES = 1 << 16;
/** For a whole file: a read takes some 10 us, and the examiner's thread may have to wait for a CPU. */
const PATIENCE_NS = 500e6;
/** Each read that hangs holds a thread and a buffer until its process ends. glibc makes 20 threads at most. */
const MAX_HANGING = 8;

export class MemoryReads {
  private readonly patienceNs: number;
  private current: TimedRead | undefined;
  private hanging: readonly TimedRead[] = [];

  constructor(patienceNs = PATIENCE_NS) {
    this.patienceNs = patienceNs;
  }

  /**
   * Reads at most `limit` bytes from the start of `fd`, which stays open. Undefined if they cannot be read, or not in time,
   * or if too many earlier reads still hang.
   */
  read(fd: number, limit: number): Uint8Array | undefined {
    this.hanging = this.hanging.filter((read) => read.wait(0) === undefined);
    if (this.hanging.length >= MAX_HANGING) return undefined;
    try {
      return this.readInTime(fd, limit);
    } catch {
      // This system cannot limit the time of a read.
      return undefined;
    }
  }

  private readInTime(fd: number, limit: number): Uint8Array | undefined {
    const until = monotonicNow() + this.patienceNs;
    const parts: Uint8Array[] = [];
    let length = 0;
    while (length < limit) {
      this.current ??= new TimedRead(CHUNK_BYTES);
      const { current } = this;
      if (current.begin(copyHigh(fd), CHUNK_BYTES, length) !== 0) return undefined;
      const got = current.wait(until - monotonicNow());
      if (got === undefined) {
        this.hanging = [...this.hanging, current];
        this.current = undefined;
      }
      if (got === undefined || got < 0) return undefined;
      if (got === 0) break;
      parts.push(current.data.slice(0, got));
      length += got;
    }
    return Buffer.concat(parts);
  }
}
