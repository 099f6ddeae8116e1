// Decides when the reporter forces a garbage collection, and when it discards its compiled code as well.

/** The text that is worth a collection, characters: a scrape of 1,000 trees leaves some 3 MB of it. */
const COLLECT_AFTER = 4e6;
/** The time from the first of several scrapes to a collection, ms. */
const COLLECT_MS = 250;
/**
 * The longest time between two frames of a warden at work, ms: it sends totals once a second. One that has no work sends
 * some every 5 s, what treewarden itself costs.
 */
const WORK_MS = 2_000;
/** The time between two looks whether work has ended, and for which there must have been none, ms. */
const QUIET_MS = 3_000;
/**
 * The growth since the last time from which on compiled code is discarded. A load leaves 3 MB in the reporter, most of it
 * code, its caches and its profiles.
 */
const CODE_GROWTH_BYTES = 2 << 20;
/** The least time from one time to the next, ms: what runs again is compiled again. */
const DISCARD_MS = 600_000;

export interface ReporterCollectionInputs {
  readonly collect: () => void;
  /** Discards compiled code and garbage. */
  readonly release: () => Promise<void>;
  /** Resident memory of this process in bytes. */
  readonly resident: () => number;
}

export class ReporterCollection {
  private readonly inputs: ReporterCollectionInputs;
  /** The length of the texts that were formatted since the last collection. */
  private length = 0;
  private collection: ReturnType<typeof setTimeout> | undefined;
  private look: ReturnType<typeof setTimeout> | undefined;
  /** Times are of performance.now(). */
  private frameAt = Number.NEGATIVE_INFINITY;
  private workedAt = Number.NEGATIVE_INFINITY;
  private releasedAt = Number.NEGATIVE_INFINITY;
  private residentAfter: number;

  /** To be created right after a collection. */
  constructor(inputs: ReporterCollectionInputs) {
    this.inputs = inputs;
    this.residentAfter = inputs.resident();
  }

  /** To be called at each frame of the warden's. A scrape causes one, too. */
  received(): void {
    const now = performance.now();
    const isWork = now - this.frameAt < WORK_MS;
    this.frameAt = now;
    if (!isWork) return;
    this.workedAt = now;
    this.look ??= setTimeout(() => this.onLook(), QUIET_MS);
  }

  /** To be called with the length of each text of metrics. The runtime would collect only after 40 MB of it. */
  formatted(length: number): void {
    this.length += length;
    if (this.length < COLLECT_AFTER) return;
    this.length = 0;
    this.collection ??= setTimeout(() => {
      this.collection = undefined;
      this.inputs.collect();
    }, COLLECT_MS);
  }

  stop(): void {
    clearTimeout(this.collection);
    clearTimeout(this.look);
  }

  private async onLook(): Promise<void> {
    this.look = undefined;
    const now = performance.now();
    // Asked again later, while there is work and if the last time is not long enough ago.
    const wait = Math.max(this.workedAt + QUIET_MS - now, this.releasedAt + DISCARD_MS - now);
    if (wait > 0) {
      this.look = setTimeout(() => this.onLook(), Math.max(wait, QUIET_MS));
      return;
    }
    if (this.inputs.resident() - this.residentAfter < CODE_GROWTH_BYTES) return;
    this.releasedAt = now;
    await this.inputs.release();
    this.residentAfter = this.inputs.resident();
  }
}
