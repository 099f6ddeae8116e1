// The outbox in the poll loop: written to when the socket takes it, closed when no reporter can come any more.
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, EPOLLOUT, type Poll } from "../linux/epoll.ts";
import type { Outbox, OutboxAnswer } from "../report/outbox.ts";

/** How long one wait of a farewell is, ms. */
const FAREWELL_STEP = 50;

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

  /** Milliseconds until totals are to be told, -1 if nothing is: a timeout for poll. */
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

  /** Tells everything, for at most `ns`. */
  shutdown(ns: number): void {
    const end = monotonicNow() + ns;
    while (!this.closed && this.outbox.flushAll() === "blocked" && monotonicNow() < end) {
      this.poll.modify(this.fd, this.token, EPOLLOUT);
      this.poll.wait(FAREWELL_STEP);
    }
  }

  /** Without a reporter, and without hope for another one, the warden still decides and kills. */
  private close(): void {
    this.closed = true;
    this.poll.remove(this.fd);
  }
}
