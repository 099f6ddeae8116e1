// When the warden forces a full garbage collection. One takes 2 to 20 ms, during which no program is judged.

/** Work is followed by a collection after this time at the earliest: a burst comes with others. */
const COLLECT_NS = 10e9;
/** Without events for this long the host is quiet. Longer than any source gathers events before it hands them over. */
const QUIET_NS = 250e6;
/**
 * A busy warden is not interrupted until it has grown by this much since the last collection. At 500 execs a second it
 * grows by 4 MB: the runtime collects a little at a time by itself, and only does not give memory back.
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
  /** Undefined while nothing has happened since the last collection. */
  private wantedFrom: number | undefined;
  private lastWork = 0;
  private measuredAt = Number.NEGATIVE_INFINITY;
  private residentAfter: number;

  /** To be made right after a collection. */
  constructor(inputs: CollectionInputs) {
    this.inputs = inputs;
    this.residentAfter = inputs.resident();
  }

  /** Tells that the poll had something to read. Collects only if memory has grown beyond its bound. */
  worked(now: number): void {
    this.lastWork = now;
    this.wantedFrom ??= now + COLLECT_NS;
    if (now < this.wantedFrom || now - this.measuredAt < COLLECT_NS) return;
    this.measuredAt = now;
    if (this.inputs.resident() - this.residentAfter > GROWTH_BYTES) this.collect();
  }

  /** Tells that the poll had nothing to read; collects if the host has been quiet for long enough. */
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
