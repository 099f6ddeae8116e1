// Counts the processes that were started again. The warden has all counters, so it gets each count as an order.
import type { Restarted } from "./inherited.ts";

/** A warden that ends earlier may not have read its orders, ms: the time that a start takes on a slow host. */
const READS_WITHIN_MS = 3_000;

export class Restarts {
  private waiting: Restarted[] = [];
  /** What the present warden was sent. */
  private sent: Restarted[] = [];

  add(process: Restarted): void {
    this.waiting.push(process);
  }

  /** Sends what waits to the warden that runs. `send` returns false if it does not read its orders. */
  send(send: (process: Restarted) => boolean): void {
    while (this.waiting[0] !== undefined && send(this.waiting[0]))
      this.sent.push(...this.waiting.splice(0, 1));
  }

  /** The warden has ended after `livedMs`: what it may not have read is sent to the next one again. */
  onWardenEnd(livedMs: number): void {
    if (livedMs < READS_WITHIN_MS) this.waiting = [...this.sent, ...this.waiting];
    this.sent = [];
  }
}
