// A bounded queue in which nobody waits behind all that one user has added.
import { type Payer, Shares } from "../vocabulary/shares.ts";

export class FairQueue<T> {
  private readonly shares: Shares;
  /** What waits, by whom it is charged to, in the order of their turns. */
  private readonly waiting = new Map<string, { readonly payers: readonly Payer[]; readonly items: Set<T> }>();
  private count = 0;

  /** `limit`: of all that waits; one payer may have half of it. */
  constructor(limit: number) {
    this.shares = new Shares(limit, limit / 2);
  }

  get size(): number {
    return this.count;
  }

  /** Adds what does not wait yet. False if there is no room for it. */
  add(item: T, payers: readonly Payer[]): boolean {
    const key = payers.join();
    const known = this.waiting.get(key);
    if (known?.items.has(item) === true) return true;
    if (!this.shares.take(payers)) return false;
    if (known === undefined) this.waiting.set(key, { payers, items: new Set([item]) });
    else known.items.add(item);
    this.count += 1;
    return true;
  }

  /** Takes the oldest of those whose turn it is; undefined if nothing waits. */
  take(): T | undefined {
    for (const [key, turn] of this.waiting) {
      this.waiting.delete(key);
      for (const item of turn.items) {
        turn.items.delete(item);
        this.shares.giveBack(turn.payers);
        this.count -= 1;
        // The next turn is that of somebody else.
        if (turn.items.size > 0) this.waiting.set(key, turn);
        return item;
      }
    }
    return undefined;
  }
}
