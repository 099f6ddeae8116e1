// How many new names of programs each user may have scored. Scoring is what a new name costs, and a user who renames a
// file before each exec must not be able to buy a gap in what the warden sees. Names beyond the limit are folded only.
import type { Counter } from "../report/totals.ts";

/** New names that a user may make at once, for the first scan of a host and for builds. */
const BURST = 5_000;
/** New names a second that a user may make for good: at some 5 us each, a four-hundredth of a CPU. */
const PER_SECOND = 500;
/** Users that are remembered. Beyond that the one that was first seen is forgotten, and begins with a full budget. */
const USERS = 1_024;
/** Processes whose user is not known have one budget together. */
const UNKNOWN_USER = -1;

interface Allowance {
  left: number;
  /** ns, CLOCK_MONOTONIC, when `left` was computed. */
  at: number;
}

export class NameBudget {
  private readonly users = new Map<number, Allowance>();
  private readonly now: () => number;
  private readonly refused: Pick<Counter, "add">;

  /** `now`: ns, CLOCK_MONOTONIC. `refused` counts the names that were not scored. */
  constructor(now: () => number, refused: Pick<Counter, "add">) {
    this.now = now;
    this.refused = refused;
  }

  /**
   * Takes one name of this effective user's; false if none is left, which is counted. `isShed`: nobody's names are
   * scored now, because the warden is behind.
   */
  take(uid: number = UNKNOWN_USER, isShed = false): boolean {
    const now = this.now();
    const allowance = this.users.get(uid) ?? this.newUser(uid, now);
    allowance.left = Math.min(BURST, allowance.left + ((now - allowance.at) / 1e9) * PER_SECOND);
    allowance.at = now;
    if (isShed || allowance.left < 1) {
      this.refused.add(1);
      return false;
    }
    allowance.left -= 1;
    return true;
  }

  private newUser(uid: number, now: number): Allowance {
    if (this.users.size >= USERS) {
      const [oldest] = this.users.keys();
      if (oldest !== undefined) this.users.delete(oldest);
    }
    const allowance = { left: BURST, at: now };
    this.users.set(uid, allowance);
    return allowance;
  }
}
