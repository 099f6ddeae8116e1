// Decides when the reporter forces a garbage collection, and when it discards its compiled code as well.
import type { ProcessMemory } from "../linux/own-memory.ts";
import { RecentCount } from "../vocabulary/recent-count.ts";

/** The text that is worth a collection, characters: a scrape of 1,000 trees leaves some 3 MB of it. */
const COLLECT_AFTER = 4e6;
/** The time from the first of several scrapes to a collection, ms. */
const COLLECT_MS = 250;
/**
 * The longest time between two frames of a warden at work, ms: it sends totals once a second. One that has no work sends
 * some every 5 s, what treewarden itself costs.
 */
const WORK_MS = 2_000;
/** How often the reporter is checked while there is work, ms. */
const CHECK_MS = 5_000;
/**
 * Code is discarded where the warden has sent at most so many series and records lately. It sends both once a second: of a
 * program that starts here and there some ten, in a load all that there are, and the code would be needed again at once.
 */
const CALM_ENTRIES = 400;
const CALM_MS = 4_000;
/**
 * The growth since code was last discarded from which on it is discarded again. A load leaves 3 MB in the reporter, most of
 * it compiled code with its caches and profiles.
 */
const CODE_GROWTH_BYTES = 2 << 20;
/** The shortest time from one time to the next, ms: what runs again is compiled again. */
const CODE_KEPT_MS = 600_000;

export class ReporterCollection implements Disposable {
  private readonly memory: ProcessMemory;
  /** The length of the texts that were formatted since the last collection. */
  private length = 0;
  private collection: ReturnType<typeof setTimeout> | undefined;
  private check: ReturnType<typeof setTimeout> | undefined;
  /** Times are of performance.now(). */
  private readonly entries = new RecentCount(CALM_MS);
  private frameAt = Number.NEGATIVE_INFINITY;
  private releasedAt = Number.NEGATIVE_INFINITY;
  private residentAfter: number;

  /** To be created right after a collection. */
  constructor(memory: ProcessMemory) {
    this.memory = memory;
    this.residentAfter = memory.resident();
  }

  /** To be called at each frame of the warden's, with the number of its series or records. A scrape causes one, too. */
  received(entries: number): void {
    const now = performance.now();
    const isWork = now - this.frameAt < WORK_MS;
    this.frameAt = now;
    this.entries.add(now, entries);
    if (isWork) this.check ??= setTimeout(() => this.checkGrowth(), CHECK_MS);
  }

  /** To be called with the length of each text of metrics. The runtime would collect only after 40 MB of it. */
  formatted(length: number): void {
    this.length += length;
    if (this.length < COLLECT_AFTER) return;
    this.length = 0;
    this.collection ??= setTimeout(() => {
      this.collection = undefined;
      this.memory.collect();
    }, COLLECT_MS);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.collection);
    clearTimeout(this.check);
  }

  private async checkGrowth(): Promise<void> {
    this.check = undefined;
    const now = performance.now();
    const keptFor = this.releasedAt + CODE_KEPT_MS - now;
    if (keptFor > 0 || this.entries.at(now) > CALM_ENTRIES) {
      this.check = setTimeout(() => this.checkGrowth(), Math.max(keptFor, CHECK_MS));
      return;
    }
    if (this.memory.resident() - this.residentAfter < CODE_GROWTH_BYTES) return;
    this.releasedAt = now;
    await this.memory.release();
    this.residentAfter = this.memory.resident();
  }
}
