// Reports what outputs will never get as records of their own: the first loss at once, later ones added up and at most
// once a minute, so that a destination that refuses everything, these records too, makes no flood of them.
import type { ExportLoss } from "./journal-cursor.ts";

const QUIET_MS = 60_000;

/** A loss of one output. `queue`: the output's label in treewarden_queue_dropped_total. */
export interface QueueLoss extends ExportLoss {
  readonly queue: string;
}

export class LossReports {
  private readonly report: (loss: QueueLoss) => void;
  private readonly waiting = new Map<string, QueueLoss>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(report: (loss: QueueLoss) => void) {
    this.report = report;
  }

  add({ queue, missing, reason }: QueueLoss): void {
    const key = `${queue} ${reason}`;
    const before = this.waiting.get(key);
    this.waiting.set(key, { queue, reason, missing: missing + (before?.missing ?? 0) });
    // A loss is often noticed record by record.
    this.timer ??= setTimeout(() => this.start(), 0);
  }

  /** Reports what waits. For the end. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const loss of this.takeWaiting()) this.report(loss);
  }

  private start(): void {
    const losses = this.takeWaiting();
    this.timer = losses.length === 0 ? undefined : setTimeout(() => this.start(), QUIET_MS);
    for (const loss of losses) this.report(loss);
  }

  private takeWaiting(): readonly QueueLoss[] {
    const losses = [...this.waiting.values()];
    this.waiting.clear();
    return losses;
  }
}
