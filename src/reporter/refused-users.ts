// Logs that clients of the endpoint have shown a wrong name or password: a mistyped one, or somebody who guesses.

const QUIET_MS = 60_000;

export class RefusedUsers {
  private readonly warn: (message: string) => void;
  private readonly now: () => number;
  /** Requests that were refused since the last message. */
  private count = 0;
  private quietUntil = 0;

  /** `now`: milliseconds of a clock that never goes back. */
  constructor(warn: (message: string) => void, now: () => number = () => performance.now()) {
    this.warn = warn;
    this.now = now;
  }

  /** Logs at most one line a minute. `address`: the client's IP address. */
  add(address: string): void {
    this.count += 1;
    const now = this.now();
    if (now < this.quietUntil) return;
    this.quietUntil = now + QUIET_MS;
    const requests = this.count === 1 ? "a request" : `${this.count} requests, the last`;
    this.warn(`the endpoint refused ${requests} from ${address}: wrong name or password`);
    this.count = 0;
  }
}
