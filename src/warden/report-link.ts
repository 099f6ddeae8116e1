// Drives the outbox from the poll loop: flushes it when the socket is writable. When the socket was shut down, the
// records wait until the supervisor has started another reporter and passes its socket.
import { monotonicNow } from "../linux/clock.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, EPOLLOUT, type Poll } from "../linux/epoll.ts";
import type { Outbox, OutboxAnswer } from "../report/outbox.ts";

/** The longest single wait during shutdown, ms. */
const SHUTDOWN_WAIT_MS = 50;

export class ReportLink {
  private readonly poll: Poll;
  private readonly token: number;
  private fd: number;
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

  /** Continues with a new reporter on the socket `fd`, and closes the one before. */
  connect(fd: number): void {
    if (!this.closed) this.poll.remove(this.fd);
    closeDescriptor(this.fd);
    this.fd = fd;
    this.blocked = false;
    this.closed = false;
    this.outbox.connect(fd);
    this.poll.add(fd, this.token, EPOLLIN);
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

  /** Until there is another reporter the warden decides and kills without one. The supervisor logs the shutdown. */
  private close(): void {
    this.closed = true;
    this.poll.remove(this.fd);
  }
}
