// The epoch: a number that rises whenever something changes that decisions depend on. Cached decisions carry the epoch
// in which they were made and are invalid in later ones.

/** The change that raised the epoch. */
export type EpochReason =
  | "policy"
  | "baseline"
  | "exclusions"
  | "exclusion ended"
  | "enforcement"
  | "users"
  | "base system"
  | "packages"
  | "mounts"
  | "container";

export class Epoch {
  private number = 1;
  private readonly listeners: ((epoch: number, reason: EpochReason) => void)[] = [];

  get current(): number {
    return this.number;
  }

  /** To be called after the change, when new decisions already use the new state. */
  raise(reason: EpochReason): void {
    this.number += 1;
    for (const listener of this.listeners) listener(this.number, reason);
  }

  /** `listener` is called for every new epoch, before `raise` returns. */
  onRaise(listener: (epoch: number, reason: EpochReason) => void): void {
    this.listeners.push(listener);
  }
}
