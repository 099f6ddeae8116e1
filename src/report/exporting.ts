// When to export: records from the journal as they come and again until the collector has them, totals at intervals.
import type { Journal } from "./journal.ts";
import type { LedgerSeries } from "./ledger.ts";
import type { Otlp } from "./otlp.ts";
import type { EventRecord } from "./record.ts";

export interface ExportingInputs {
  readonly otlp: Otlp;
  readonly journal: Journal;
  readonly series: () => Iterable<LedgerSeries>;
  readonly redact: (record: EventRecord) => EventRecord;
  readonly intervalMs: number;
  /** An export failed. */
  readonly onFailure: (signal: "logs" | "metrics", why: string) => void;
  /** A record of the best-effort kind was dropped. */
  readonly onDrop: () => void;
}

const BATCH = 512;
/** What may wait of the best-effort kind. */
const PLAIN_LIMIT = 4_096;
/** Records gather this long before they leave. */
const GATHER_MS = 250;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
const POSITION = "otlp.logs.position";

export class Exporting {
  private readonly inputs: ExportingInputs;
  private position: number;
  private plain: EventRecord[] = [];
  private waitMs = 0;
  private busy = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly interval: ReturnType<typeof setInterval>;

  constructor(inputs: ExportingInputs) {
    this.inputs = inputs;
    const stored = Number(inputs.journal.recall(POSITION));
    // A collector that is new to this host gets what happens from now on, not the whole past.
    this.position = Number.isSafeInteger(stored) && stored > 0 ? stored : inputs.journal.newest();
    this.interval = setInterval(() => void this.exportMetrics(), inputs.intervalMs);
    this.wake();
  }

  /** Rows up to this id have left the host. */
  get exported(): number {
    return this.position;
  }

  /** Something was written to the journal. */
  wake(): void {
    if (!this.inputs.otlp.exportsLogs || this.busy || this.timer !== undefined) return;
    this.timer = setTimeout(() => void this.exportLogs(), Math.max(GATHER_MS, this.waitMs));
  }

  /** A record that may be lost. */
  addPlain(record: EventRecord): void {
    if (!this.inputs.otlp.exportsLogs) return;
    if (this.plain.length >= PLAIN_LIMIT) {
      this.inputs.onDrop();
      return;
    }
    this.plain.push(record);
    this.wake();
  }

  /** Sends what there is, once. */
  async end(): Promise<void> {
    clearInterval(this.interval);
    clearTimeout(this.timer);
    this.timer = undefined;
    await Promise.all([this.exportLogs(), this.exportMetrics()]);
  }

  private async exportLogs(): Promise<void> {
    this.timer = undefined;
    if (this.busy || !this.inputs.otlp.exportsLogs) return;
    this.busy = true;
    const { journal, otlp, redact } = this.inputs;
    const rows = journal.after(this.position, BATCH);
    const plain = this.plain.slice(0, BATCH - rows.length);
    const batch = [...rows.map(({ record }) => record), ...plain].map(redact);
    const why = await otlp.exportLogs(batch);
    this.busy = false;
    if (why === undefined) {
      this.waitMs = 0;
      this.plain.splice(0, plain.length);
      const last = rows.at(-1);
      if (last !== undefined) {
        this.position = last.id;
        journal.remember(POSITION, String(last.id));
      }
      if (batch.length === BATCH) this.wake();
      return;
    }
    this.inputs.onFailure("logs", why);
    // Half as long again at random, so that a fleet does not come back as one.
    const next = Math.min(LONGEST_WAIT_MS, Math.max(FIRST_WAIT_MS, this.waitMs * 2));
    this.waitMs = next * (1 + Math.random() / 2);
    this.wake();
  }

  private async exportMetrics(): Promise<void> {
    if (!this.inputs.otlp.exportsMetrics) return;
    const why = await this.inputs.otlp.exportMetrics(this.inputs.series(), Date.now());
    if (why !== undefined) this.inputs.onFailure("metrics", why);
  }
}
