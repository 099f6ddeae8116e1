// How much the next batch of an output may hold. A batch that is refused is halved, until a record is refused alone;
// after that the batches grow again. What was too large sets a limit in bytes, which is raised only from time to time.

/** The time after which the limit in bytes is doubled once. */
const RAISE_MS = 10 * 60_000;

/** A batch that was refused, of more than one record. */
export interface RefusedBatch {
  readonly count: number;
  /** Its last row. */
  readonly position: number;
  /** The length of its rows as JSON. */
  readonly bytes: number;
}

export class BatchLimit {
  /** The most rows in the next batch. */
  rows: number;
  /** The approximate length of its rows as JSON. */
  bytes: number;
  private readonly most: { readonly rows: number; readonly bytes: number };
  /** When the limit in bytes was set or raised (performance.now()). */
  private since = 0;
  /** One of the next rows, up to this id, is refused: the end of the smallest batch that is known to hold it. */
  private refusedUpTo = 0;

  constructor(most: { readonly rows: number; readonly bytes: number }) {
    this.most = most;
    this.rows = most.rows;
    this.bytes = most.bytes;
  }

  onRejected({ count, position }: RefusedBatch): void {
    this.rows = Math.ceil(count / 2);
    this.refusedUpTo = position;
  }

  onTooLarge(batch: RefusedBatch, now: number): void {
    this.onRejected(batch);
    this.bytes = Math.ceil(batch.bytes / 2);
    this.since = now;
  }

  /** To be called when the rows up to `position` were delivered or given up. */
  onPassed(position: number, now: number): void {
    // A batch that reaches into the rest of a refused one would only be refused again.
    if (position >= this.refusedUpTo) this.rows = Math.min(this.most.rows, this.rows * 2);
    if (this.bytes >= this.most.bytes || now - this.since < RAISE_MS) return;
    this.bytes = Math.min(this.most.bytes, this.bytes * 2);
    this.since = now;
  }

  /** To be called when the refusals had nothing to do with the batches. The next ones are small at first. */
  onPathFailure(): void {
    this.bytes = this.most.bytes;
    this.refusedUpTo = 0;
  }
}
