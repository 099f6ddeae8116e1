// The epoch: one number that rises whenever anything changes that a decision depends on. What is kept of a decision
// carries the epoch it was made in, and counts for nothing in a later one.

/** What changed. */
export type EpochReason =
  | "policy"
  | "baseline"
  | "exclusions"
  | "exclusion ended"
  | "users"
  | "base system"
  | "packages"
  | "container image";

export class Epoch {
  private number = 1;
  private readonly listeners: ((epoch: number, reason: EpochReason) => void)[] = [];

  get current(): number {
    return this.number;
  }

  /** To be called after the change: what is decided from now on is decided by the new state. */
  raise(reason: EpochReason): void {
    this.number += 1;
    for (const listener of this.listeners) listener(this.number, reason);
  }

  /** `listener` is called at every rise, before `raise` returns. */
  onRaise(listener: (epoch: number, reason: EpochReason) => void): void {
    this.listeners.push(listener);
  }
}
