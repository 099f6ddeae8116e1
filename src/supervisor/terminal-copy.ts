// Copies what the reporter prints to the terminal, so that the reporter itself has no descriptor of the terminal: it
// could read what root types there. Never blocks: text waits in the pipe, and then in the reporter, while the terminal
// is stopped.
import { closeSync, constants, openSync } from "node:fs";
import { readDescriptor, writeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, EPOLLOUT, type Poll } from "../linux/epoll.ts";
import { SystemCallError } from "../linux/libc.ts";
import { TerminalFilter } from "./terminal-filter.ts";

const buffer = new Uint8Array(new ArrayBuffer(4096));
const nothing = new Uint8Array(0);
/** The most pieces of one call, so that a reporter that writes without end does not keep the supervisor busy. */
const MOST_PIECES = 16;

export class TerminalCopy implements Disposable {
  private readonly poll: Poll;
  private readonly token: number;
  private readonly from: number;
  private readonly to: number | undefined;
  private readonly filter = new TerminalFilter();
  private waiting: Uint8Array = nothing;
  private isBlocked = false;

  /** `from`: the reading end of the pipe, nonblocking. `terminal`: a descriptor of the terminal. */
  constructor(poll: Poll, token: number, from: number, terminal: number) {
    this.poll = poll;
    this.token = token;
    this.from = from;
    this.to = openAgain(terminal);
    poll.add(from, token, EPOLLIN);
  }

  /** Must be called when the pipe has data or the terminal has room. */
  work(): void {
    for (let pieces = 0; pieces < MOST_PIECES && this.flush(); pieces += 1) {
      const length = readDescriptor(this.from, buffer);
      if (length <= 0) return;
      this.waiting = this.filter.next(buffer.subarray(0, length));
    }
    this.flush();
  }

  [Symbol.dispose](): void {
    if (this.to !== undefined) closeSync(this.to);
  }

  /** Writes what waits; false if the terminal has no room for it. */
  private flush(): boolean {
    const had = this.waiting.length > 0;
    while (this.waiting.length > 0) {
      const written = this.write(this.waiting);
      if (written < 0) {
        if (!this.isBlocked) this.setBlocked(true);
        return false;
      }
      this.waiting = this.waiting.subarray(written);
    }
    if (had && this.isBlocked) this.setBlocked(false);
    return true;
  }

  /** While the terminal has no room, the pipe is left alone and the terminal is waited for. */
  private setBlocked(blocked: boolean): void {
    if (this.to === undefined) return;
    this.isBlocked = blocked;
    if (blocked) {
      this.poll.remove(this.from);
      this.poll.add(this.to, this.token, EPOLLOUT);
    } else {
      this.poll.remove(this.to);
      this.poll.add(this.from, this.token, EPOLLIN);
    }
  }

  /** The bytes written, -1 if the terminal has no room. Text for a terminal that is gone is dropped. */
  private write(bytes: Uint8Array): number {
    if (this.to === undefined) return bytes.length;
    try {
      return writeDescriptor(this.to, bytes);
    } catch (error) {
      if (error instanceof SystemCallError) return bytes.length;
      throw error;
    }
  }
}

/**
 * A descriptor of the same terminal of its own, so that it can be nonblocking without making the shell's own
 * descriptor nonblocking as well. Undefined if the terminal cannot be opened: then nothing is shown.
 */
function openAgain(terminal: number): number | undefined {
  try {
    // node:fs adds O_CLOEXEC.
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${terminal}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined;
  }
}
