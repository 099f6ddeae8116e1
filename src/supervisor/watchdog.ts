// Watches the timer that a child sets again whenever it comes back to its poll or event loop. The timer expires several
// times before the child's time is over, so that the supervisor knows what the child has done in between.
import { monotonicNow } from "../linux/clock.ts";
import { type CpuUse, readCpuUse } from "../linux/proc/cpu-use.ts";
import type { Timer } from "../linux/timerfd.ts";
import { judgeStall, type Stall } from "./hang.ts";
import { DEAD_MAN_EXPIRATIONS, watchdogInterval } from "./inherited.ts";

interface Look {
  readonly at: number;
  readonly use: CpuUse;
}

interface Watched {
  readonly pid: number;
  /** Expirations at the last look; a smaller number means that the child has set the timer again. */
  readonly expirations: number;
  readonly first: Look;
  readonly last: Look;
}

/** A stall that has lasted for the child's whole time limit. */
export type LateStall = Stall & { readonly lateMs: number };

export class Watchdog {
  readonly timer: Timer;
  private watched: Watched | undefined;

  /** `timer`: must be read by nobody, and be in the caller's poll edge-triggered (EPOLLET). */
  constructor(timer: Timer) {
    this.timer = timer;
  }

  /** Sets the timer for a child that is being started, which may take `limitMs`. */
  arm(limitMs: number): void {
    this.timer.armEvery(watchdogInterval(limitMs));
  }

  /** For a child that has ended. */
  disarm(): void {
    this.watched = undefined;
    this.timer.disarm();
  }

  /** Must be called when the timer has expired. Undefined if the child has come back, or still has time. */
  onExpiration(pid: number): LateStall | undefined {
    const { expirations, intervalNs } = this.timer.overdue();
    const use = expirations === 0 ? undefined : readCpuUse(pid);
    if (use === undefined) {
      this.watched = undefined;
      return undefined;
    }
    const look: Look = { at: monotonicNow(), use };
    const before = this.watched;
    const continues = before?.pid === pid && before.expirations < expirations;
    this.watched = { pid, expirations, first: continues ? before.first : look, last: look };
    if (!continues || expirations < DEAD_MAN_EXPIRATIONS) return undefined;
    const stall = judgeStall({
      first: before.first.use,
      previous: before.last.use,
      now: use,
      sincePreviousNs: look.at - before.last.at,
      limitNs: intervalNs * DEAD_MAN_EXPIRATIONS,
    });
    return { ...stall, lateMs: Math.round((expirations * intervalNs) / 1e6) };
  }
}
