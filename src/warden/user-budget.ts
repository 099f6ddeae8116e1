// How much of something each user may cause: at once, and a second. A user must not be able to buy a gap in what the
// warden sees, or to fill what others need.
import type { Counter } from "../report/totals.ts";

/** Users that are remembered. Beyond that the one that was first seen is forgotten, and begins with a full budget. */
const USERS = 1_024;
/** Processes whose user is not known have one budget together. */
const UNKNOWN_USER = -1;

export interface UserBudgetOptions {
  /** How much each user may take at once. */
  readonly burst: number;
  /** How much each user may take for good. */
  readonly perSecond: number;
  /** ns, CLOCK_MONOTONIC */
  readonly now: () => number;
  /** Counts what was refused. */
  readonly refused?: Pick<Counter, "add">;
}

/**
 * New names of programs that are scored: 5,000 at once for the first scan of a host and for builds, then at some 5 us each
 * a four-hundredth of a CPU. Names beyond it are folded only.
 */
export const nameBudget = { burst: 5_000, perSecond: 500 } as const;
/**
 * Records of what the policy allows on the network, where each is reported: at 1 kB each a user fills no journal with them
 * in less than hours. Those beyond it are counted.
 */
export const networkRecordBudget = { burst: 1_000, perSecond: 100 } as const;

interface Allowance {
  left: number;
  /** ns, CLOCK_MONOTONIC, when `left` was computed. */
  at: number;
}

export class UserBudget {
  private readonly users = new Map<number, Allowance>();
  private readonly options: UserBudgetOptions;

  constructor(options: UserBudgetOptions) {
    this.options = options;
  }

  /**
   * Takes one from this effective user's budget; false if none is left, which is counted. `isShed`: nobody gets any now,
   * because the warden is behind.
   */
  take(uid: number = UNKNOWN_USER, isShed = false): boolean {
    const { burst, perSecond } = this.options;
    const now = this.options.now();
    const allowance = this.users.get(uid) ?? this.newUser(uid, now);
    allowance.left = Math.min(burst, allowance.left + ((now - allowance.at) / 1e9) * perSecond);
    allowance.at = now;
    if (isShed || allowance.left < 1) {
      this.options.refused?.add(1);
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
    const allowance = { left: this.options.burst, at: now };
    this.users.set(uid, allowance);
    return allowance;
  }
}
