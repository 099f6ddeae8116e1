// Standard output of a command: a file, a terminal or a pipe whose reader may be slow or may leave.
import { writeDescriptor } from "./descriptor.ts";
import { EPIPE, SystemCallError } from "./libc.ts";
import { waitWritable } from "./poll.ts";

/** Text gathers to this many UTF-16 units before it is written. */
const GATHER = 64 * 1024;
const encoder = new TextEncoder();

/** Writes text and waits for a slow reader. Once the reader has left, `isClosed` is true and text is discarded. */
export class PipeWriter {
  private readonly fd: number;
  private pending = "";
  private closed = false;

  /** `fd`: the descriptor to write to, by default standard output. */
  constructor(fd = 1) {
    this.fd = fd;
  }

  /** Nobody reads any more. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** Adds text; it is written by the next `flush`, or at once if much has gathered. */
  write(text: string): void {
    this.pending += text;
    if (this.pending.length >= GATHER) this.flush();
  }

  /** Writes everything that has gathered. Gives false once nobody reads any more. Throws if the write fails otherwise. */
  flush(): boolean {
    if (this.pending === "" || this.closed) return !this.closed;
    let bytes = encoder.encode(this.pending);
    this.pending = "";
    try {
      while (bytes.length > 0) {
        const written = writeDescriptor(this.fd, bytes);
        if (written < 0) waitWritable(this.fd);
        else bytes = bytes.subarray(written);
      }
    } catch (error) {
      if (!(error instanceof SystemCallError && error.errno === EPIPE)) throw error;
      this.closed = true;
    }
    return !this.closed;
  }
}
