// When to export: records from the journal as they come and again until the collector has them, totals at intervals.

import type { EventRecord } from "../report/event-record.ts";
import { messageOf } from "../vocabulary/errors.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { Journal } from "./journal.ts";
import { isLearned } from "./learned-rows.ts";
import type { OtlpExporters } from "./otlp-exporters.ts";

export interface OtlpOutputInputs {
  readonly otlp: OtlpExporters;
  readonly journal: Journal;
  /** Every series as of now. */
  readonly series: () => Promise<readonly CumulativeSeries[]>;
  /** What an earlier configuration let into the journal does not leave under a stricter one. */
  readonly redact: (record: EventRecord) => EventRecord;
  readonly intervalMs: number;
  /** An export failed. */
  readonly onFailure: (signal: "logs" | "metrics", why: string) => void;
  /** Records that will never leave: there was no room, or the collector says that they are wrong. */
  readonly onDrop: (count: number) => void;
}

const BATCH = 512;
/** A batch's JSON, which is more than its protobuf; collectors take 4 MiB and more. */
const BATCH_BYTES = 2 * 1024 * 1024;
/** What may wait of the best-effort kind. */
const PLAIN_LIMIT = 4_096;
/** Records gather this long before they leave. */
const GATHER_MS = 250;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
const POSITION = "otlp.logs.position";

export class OtlpOutput {
  private readonly inputs: OtlpOutputInputs;
  private position: number;
  private plain: EventRecord[] = [];
  private waitMs = 0;
  /** Records in a batch: fewer after one that was too large. */
  private size = BATCH;
  private busy = false;
  private measuring = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly interval: ReturnType<typeof setInterval>;

  constructor(inputs: OtlpOutputInputs) {
    this.inputs = inputs;
    const stored = Number(inputs.journal.recall(POSITION) ?? Number.NaN);
    const newest = inputs.journal.newest();
    // A collector that is new to this host gets what happens from now on, not the whole past; and a journal that was
    // begun anew counts from 1 again.
    this.position = Number.isSafeInteger(stored) && stored <= newest ? stored : newest;
    this.remember(this.position);
    this.interval = setInterval(() => void this.exportMetrics(), inputs.intervalMs);
    this.wake();
  }

  /** Rows up to this id have left the host. */
  get exported(): number {
    return this.position;
  }

  /** Something was written to the journal. */
  wake(gatherMs = GATHER_MS): void {
    if (!this.inputs.otlp.exportsLogs || this.busy || this.timer !== undefined) return;
    this.timer = setTimeout(() => void this.exportLogs(), Math.max(gatherMs, this.waitMs));
  }

  /** A record that may be lost. */
  addBestEffort(record: EventRecord): void {
    if (!this.inputs.otlp.exportsLogs) return;
    if (this.plain.length >= PLAIN_LIMIT) {
      this.inputs.onDrop(1);
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
    try {
      await this.exportBatch();
    } catch (error) {
      this.failed(messageOf(error));
    } finally {
      this.busy = false;
    }
    // What is left has gathered already.
    if (this.plain.length > 0 || this.inputs.journal.newest() > this.position) this.wake(0);
  }

  private async exportBatch(): Promise<void> {
    const { journal, otlp, redact, onDrop } = this.inputs;
    const rows = journal.after(this.position, this.size, BATCH_BYTES);
    const plain = this.plain.slice(0, this.size - rows.length);
    const leaving = rows.flatMap(({ record }) => (isLearned(record) ? [] : [redact(record)]));
    const batch = [...leaving, ...plain];
    // Rows that were deleted meanwhile, or that stay on the host, leave no gap to wait for.
    if (batch.length === 0) return this.remember(rows.at(-1)?.id ?? journal.newest());
    const result = await otlp.exportLogs(batch);
    if (!result.taken) {
      if (result.fault === "passing") return this.failed(result.why);
      this.inputs.onFailure("logs", result.why);
      if (result.fault === "too large" && batch.length > 1) {
        this.size = Math.ceil(batch.length / 2);
        this.waitMs = 0;
        return;
      }
      onDrop(batch.length);
    }
    this.waitMs = 0;
    this.size = Math.min(BATCH, this.size * 2);
    this.plain.splice(0, plain.length);
    const last = rows.at(-1);
    if (last !== undefined) this.remember(last.id);
  }

  private remember(position: number): void {
    this.position = position;
    this.inputs.journal.remember({ [POSITION]: String(position) });
  }

  private failed(why: string): void {
    this.inputs.onFailure("logs", why);
    // Up to half as long again at random, so that a fleet does not come back as one.
    const next = Math.min(LONGEST_WAIT_MS, Math.max(FIRST_WAIT_MS, this.waitMs * 1.5));
    this.waitMs = next * (1 + Math.random() / 2);
  }

  private async exportMetrics(): Promise<void> {
    const { otlp, series, onFailure } = this.inputs;
    if (!otlp.exportsMetrics || this.measuring) return;
    this.measuring = true;
    try {
      const result = await otlp.exportMetrics(await series(), Date.now());
      if (!result.taken) onFailure("metrics", result.why);
    } finally {
      this.measuring = false;
    }
  }
}
