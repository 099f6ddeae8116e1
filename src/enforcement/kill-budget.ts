// Limits how many distinct offenders are killed in a minute. More of them mean that a policy is wrong or is being abused.
import { type Payer, Shares } from "../vocabulary/shares.ts";
import type { Offender } from "./offender.ts";

const WINDOW_NS = 60e9;

interface Charge {
  readonly payers: readonly Payer[];
  /** Time of the last kill: ns, CLOCK_MONOTONIC. */
  readonly time: number;
}

/**
 * A sliding minute. Killing an offender again costs nothing, so that no flood of kills of one program buys freedom for
 * another one. No payer holds more than half of the budget; root, who is charged to nobody, may use up all of it.
 * Bounded: there are never more charges than the budget allows.
 */
export class KillBudget {
  private readonly shares: Shares;
  /** By offender, the one whose last kill is the longest ago first. */
  private readonly charges = new Map<string, Charge>();

  /** `max`: distinct offenders in any 60 seconds. */
  constructor(max: number) {
    this.shares = new Shares(max, Math.max(1, Math.floor(max / 2)));
  }

  /**
   * Charges a kill at `now` (ns, CLOCK_MONOTONIC). `free`: this offender was killed within the last minute. `refused`:
   * nothing is left, for anybody or for one of the payers.
   */
  charge({ key, payers }: Offender, now: number): "charged" | "free" | "refused" {
    this.expire(now);
    const isFree = this.charges.delete(key);
    if (!isFree && !this.shares.take(payers)) return "refused";
    this.charges.set(key, { payers, time: now });
    return isFree ? "free" : "charged";
  }

  /** Takes back a charge because nothing was killed. */
  refund({ key }: Offender): void {
    this.remove(key);
  }

  /** How many further offenders may be killed at `now` (ns, CLOCK_MONOTONIC), as far as the whole host is concerned. */
  remaining(now: number): number {
    this.expire(now);
    return this.shares.left;
  }

  private expire(now: number): void {
    for (const [key, { time }] of this.charges) {
      if (time > now - WINDOW_NS) return;
      this.remove(key);
    }
  }

  private remove(key: string): void {
    const charge = this.charges.get(key);
    if (charge === undefined) return;
    this.charges.delete(key);
    this.shares.giveBack(charge.payers);
  }
}
