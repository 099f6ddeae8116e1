// Standard output, which may be a pipe that nobody reads: it never waits, and what does not fit is dropped and counted.
import { writeSync } from "node:fs";
import { isWritable } from "../linux/poll.ts";

/** pipe(7): a write of at most PIPE_BUF bytes to a pipe that poll(2) calls writable does not block. */
const PIECE = 4096;
const LIMIT = 1 << 20;
const RETRY_MS = 50;

export class StandardOutput {
  private readonly onDrop: () => void;
  private waiting: Uint8Array[] = [];
  private bytes = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  /** `onDrop`: a line was dropped. */
  constructor(onDrop: () => void) {
    this.onDrop = onDrop;
  }

  /** Writes a line, its newline included, or drops all of it. */
  write(line: string): void {
    if (this.closed) return;
    const bytes = new TextEncoder().encode(line);
    if (this.bytes + bytes.length > LIMIT) {
      this.onDrop();
      return;
    }
    this.waiting.push(bytes);
    this.bytes += bytes.length;
    if (this.timer === undefined) this.flush();
  }

  /** Writes what can be written now; true if nothing is left. */
  flush(): boolean {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.bytes > 0) {
      const piece = this.take();
      if (!this.put(piece)) {
        this.waiting.unshift(piece);
        this.bytes += piece.length;
        this.timer = setTimeout(() => this.flush(), RETRY_MS);
        return false;
      }
    }
    return true;
  }

  private take(): Uint8Array {
    const parts: Uint8Array[] = [];
    let size = 0;
    while (size < PIECE) {
      const next = this.waiting.shift();
      if (next === undefined) break;
      const fits = next.subarray(0, PIECE - size);
      parts.push(fits);
      size += fits.length;
      if (fits.length < next.length) this.waiting.unshift(next.subarray(fits.length));
    }
    this.bytes -= size;
    return Buffer.concat(parts);
  }

  private put(piece: Uint8Array): boolean {
    try {
      if (!isWritable(1)) return false;
      writeSync(1, piece);
      return true;
    } catch {
      // Whoever read has gone: there is nobody to write for any more.
      this.closed = true;
      this.waiting = [];
      this.bytes = 0;
      return true;
    }
  }
}
