// How many programs the kernel has ended of which no event was read, because the buffer of events was full.
import type { PreventionCounts } from "../sensor/prevention/closed-set.ts";

export class UnrecordedEnds {
  /** Events that were read. */
  read = 0;
  private reported = 0;
  /** What sets that are gone had counted, and the others when they were looked at last. */
  private gone = 0;
  private counts: ReadonlyMap<number, number> = new Map();
  private before = 0;

  /** How many more are missing. An event may still be in the buffer, so what was counted the time before is compared. */
  take({ prevented }: PreventionCounts): number {
    for (const [set, count] of this.counts) if (!prevented.has(set)) this.gone += count;
    this.counts = prevented;
    const missing = this.before - this.read - this.reported;
    this.before = this.gone + [...prevented.values()].reduce((sum, count) => sum + count, 0);
    if (missing <= 0) return 0;
    this.reported += missing;
    return missing;
  }
}
