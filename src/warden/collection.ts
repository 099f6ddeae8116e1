// Decides when the warden forces a full garbage collection, which takes 2 to 20 ms during which nothing is judged, and when
// it discards its compiled code as well, which takes 50 ms.
import type { ProcessMemory } from "../linux/own-memory.ts";
import { RecentCount } from "../vocabulary/recent-count.ts";

/** The shortest time between work and a collection, because bursts come in groups. */
const COLLECT_NS = 10e9;
/** The host is quiet after this time without events. Longer than any source buffers events. */
const QUIET_NS = 250e6;
/**
 * A busy warden collects only after it has grown by this much since the last collection. At 500 execs a second it grows
 * by 4 MB, because the runtime collects incrementally by itself; it only does not return memory.
 */
const GROWTH_BYTES = 16 << 20;
/**
 * The growth since code was last discarded from which on it is discarded again. Compiled code, with its caches and
 * profiles, is most of what a load leaves behind: 7 MB of a warden after 36,000 execs.
 */
const CODE_GROWTH_BYTES = 4 << 20;
/**
 * Code is discarded where at most this many events came in the last 5 to 10 s, those of 13 to 27 programs a second: under more
 * of them it would be needed again at once. Polls tell nothing: events of a load come in batches.
 */
const CALM_EVENTS = 400;
const CALM_NS = 5e9;
/**
 * The shortest time from one time to the next: after it the first event takes 6 ms, and compiling again what runs again
 * takes 0.2 s.
 */
const CODE_KEPT_NS = 300e9;

/** Times are in ns of CLOCK_MONOTONIC. */
export class Collection {
  private readonly memory: ProcessMemory;
  /** The earliest time of the next collection; undefined if nothing has happened since the last one. */
  private wantedFrom: number | undefined;
  private lastWork = 0;
  private readonly events = new RecentCount(CALM_NS);
  private measuredAt = Number.NEGATIVE_INFINITY;
  private residentAfter: number;
  private isDiscardWanted = false;
  private discardedAt = Number.NEGATIVE_INFINITY;
  private residentAfterDiscard: number;

  /** To be created right after a collection, and after compiled code was discarded. */
  constructor(memory: ProcessMemory) {
    this.memory = memory;
    this.residentAfter = memory.resident();
    this.residentAfterDiscard = this.residentAfter;
  }

  /** To be called after a poll with `events`, or with other work. Collects only if memory has grown beyond its limit. */
  worked(now: number, events: number): void {
    this.lastWork = now;
    this.events.add(now, events);
    this.wantedFrom ??= now + COLLECT_NS;
    if (now < this.wantedFrom || now - this.measuredAt < COLLECT_NS) return;
    this.measuredAt = now;
    if (this.memory.resident() - this.residentAfter > GROWTH_BYTES) this.collect(now);
  }

  /** To be called after a poll without events. Does what is due once the host has been quiet for long enough. */
  async idle(now: number): Promise<void> {
    if (this.discardDueIn(now) <= 0) await this.discardCode(now);
    else if (this.collectionDueIn(now) <= 0) this.collect(now);
  }

  /** Nanoseconds until a quiet host is due for one of both; undefined if there is nothing to do. */
  dueIn(now: number): number | undefined {
    const due = Math.min(this.collectionDueIn(now), this.discardDueIn(now));
    return due === Number.POSITIVE_INFINITY ? undefined : Math.max(0, due);
  }

  private collectionDueIn(now: number): number {
    if (this.wantedFrom === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(this.wantedFrom, this.lastWork + QUIET_NS) - now;
  }

  private discardDueIn(now: number): number {
    if (!this.isDiscardWanted) return Number.POSITIVE_INFINITY;
    const quietIn = this.lastWork + QUIET_NS - now;
    return this.events.at(now) > CALM_EVENTS ? Math.max(quietIn, this.events.fewerIn(now)) : quietIn;
  }

  private collect(now: number): void {
    this.memory.collect();
    this.residentAfter = this.memory.resident();
    this.wantedFrom = undefined;
    const growth = this.residentAfter - this.residentAfterDiscard;
    this.isDiscardWanted = growth > CODE_GROWTH_BYTES && now - this.discardedAt > CODE_KEPT_NS;
  }

  private async discardCode(now: number): Promise<void> {
    const before = this.memory.resident();
    await this.memory.release();
    this.residentAfter = this.memory.resident();
    // The runtime may not have discarded anything, for example while it compiles: then the growth is still to be given back.
    if (before - this.residentAfter > CODE_GROWTH_BYTES / 2) this.residentAfterDiscard = this.residentAfter;
    this.discardedAt = now;
    this.isDiscardWanted = false;
    this.wantedFrom = undefined;
  }
}
