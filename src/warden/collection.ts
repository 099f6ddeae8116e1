// Decides when the warden forces a full garbage collection, which takes 2 to 20 ms during which nothing is judged.

/** The shortest time between work and a collection, because bursts come in groups. */
const COLLECT_NS = 10e9;
/** The host is quiet after this time without events. Longer than any source buffers events. */
const QUIET_NS = 250e6;
/**
 * A busy warden collects only after it has grown by this much since the last collection. At 500 execs a second it grows
 * by 4 MB, because the runtime collects incrementally by itself; it only does not return memory.
 */
const GROWTH_BYTES = 16 << 20;

export interface CollectionInputs {
  readonly collect: () => void;
  /** Resident memory of this process in bytes. */
  readonly resident: () => number;
}

/** Times are in ns of CLOCK_MONOTONIC. */
export class Collection {
  private readonly inputs: CollectionInputs;
  /** The earliest time of the next collection; undefined if nothing has happened since the last one. */
  private wantedFrom: number | undefined;
  private lastWork = 0;
  private measuredAt = Number.NEGATIVE_INFINITY;
  private residentAfter: number;

  /** To be created right after a collection. */
  constructor(inputs: CollectionInputs) {
    this.inputs = inputs;
    this.residentAfter = inputs.resident();
  }

  /** To be called after a poll with events. Collects only if memory has grown beyond its limit. */
  worked(now: number): void {
    this.lastWork = now;
    this.wantedFrom ??= now + COLLECT_NS;
    if (now < this.wantedFrom || now - this.measuredAt < COLLECT_NS) return;
    this.measuredAt = now;
    if (this.inputs.resident() - this.residentAfter > GROWTH_BYTES) this.collect();
  }

  /** To be called after a poll without events. Collects if the host has been quiet for long enough. */
  idle(now: number): void {
    if (this.dueIn(now) === 0) this.collect();
  }

  /** Nanoseconds until a quiet host is due for a collection; undefined if there is nothing to collect. */
  dueIn(now: number): number | undefined {
    if (this.wantedFrom === undefined) return undefined;
    return Math.max(0, this.wantedFrom - now, this.lastWork + QUIET_NS - now);
  }

  private collect(): void {
    this.inputs.collect();
    this.residentAfter = this.inputs.resident();
    this.wantedFrom = undefined;
  }
}
