// The warden's end of the pipe to a `record` command, which has the file: a slow disk, or none, is that command's.
import { closeDescriptor, writeDescriptor } from "../linux/descriptor.ts";
import { SystemCallError } from "../linux/libc.ts";

/** Bytes that may wait for the reader: some 400,000 events. */
const PENDING_LIMIT = 8 * 1024 * 1024;

/** Writes without ever waiting. What the pipe does not take at once is kept, up to a limit. */
export class CapturePipe implements Disposable {
  private readonly fd: number;
  private readonly frames: Uint8Array[] = [];
  /** Bytes of the first frame that the pipe has taken. */
  private taken = 0;
  private pending = 0;
  private broken = false;

  /** `fd`: the writing end, nonblocking; closed with this. */
  constructor(fd: number) {
    this.fd = fd;
  }

  /** More waits than the reader can be expected to take. */
  get isFull(): boolean {
    return this.pending > PENDING_LIMIT;
  }

  get isEmpty(): boolean {
    return this.frames.length === 0;
  }

  /** Nobody reads any more. */
  get isBroken(): boolean {
    return this.broken;
  }

  add(frame: Uint8Array): void {
    this.frames.push(frame);
    this.pending += frame.length;
  }

  /** Writes as much as the pipe takes now. */
  flush(): void {
    try {
      for (let [frame] = this.frames; frame !== undefined; [frame] = this.frames) {
        const written = writeDescriptor(this.fd, frame.subarray(this.taken));
        if (written < 0) return;
        this.taken += written;
        this.pending -= written;
        if (this.taken < frame.length) continue;
        this.frames.shift();
        this.taken = 0;
      }
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.broken = true;
    }
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}
