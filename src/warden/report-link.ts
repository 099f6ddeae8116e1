// Drives the outbox from the poll loop: flushes it when the socket is writable, until no reporter can connect any more.
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, EPOLLOUT, type Poll } from "../linux/epoll.ts";
import type { Outbox, OutboxAnswer } from "../report/outbox.ts";

/** The longest single wait during shutdown, ms. */
const SHUTDOWN_WAIT_MS = 50;

export class ReportLink {
  private readonly poll: Poll;
  private readonly token: number;
  private readonly fd: number;
  private readonly outbox: Outbox;
  private blocked = false;
  private closed = false;

  /** `fd` is the outbox's own. */
  constructor(poll: Poll, token: number, fd: number, outbox: Outbox) {
    this.poll = poll;
    this.token = token;
    this.fd = fd;
    this.outbox = outbox;
    poll.add(fd, token, EPOLLIN);
  }

  /** Timeout for poll: milliseconds until totals are to be sent, -1 if there are none. */
  get due(): number {
    return this.closed || this.blocked ? -1 : this.outbox.due;
  }

  receive(answer: OutboxAnswer): void {
    if (!this.closed && this.outbox.receive(answer) === "closed") this.close();
  }

  flush(): void {
    if (this.closed) return;
    const result = this.outbox.flush();
    if (result === "closed") {
      this.close();
      return;
    }
    const blocked = result === "blocked";
    if (blocked === this.blocked) return;
    this.blocked = blocked;
    this.poll.modify(this.fd, this.token, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }

  /** Sends everything that is queued, for at most `ns`. */
  shutdown(ns: number): void {
    const end = monotonicNow() + ns;
    while (!this.closed && this.outbox.flushAll() === "blocked" && monotonicNow() < end) {
      this.poll.modify(this.fd, this.token, EPOLLOUT);
      this.poll.wait(SHUTDOWN_WAIT_MS);
    }
  }

  /** If no reporter can connect any more, the warden continues to decide and kill without one. */
  private close(): void {
    this.closed = true;
    this.poll.remove(this.fd);
  }
}
