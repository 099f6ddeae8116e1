// Exports every series to one output at an interval, and once more at the end.
import { messageOf } from "../vocabulary/errors.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { MetricsOutput } from "./output.ts";

export interface MetricsIntervalOptions {
  readonly output: MetricsOutput;
  /** Every series as of now. */
  readonly series: () => Promise<readonly CumulativeSeries[]>;
  readonly onFailure: (why: string) => void;
}

export class MetricsInterval {
  private readonly options: MetricsIntervalOptions;
  private readonly timer: ReturnType<typeof setInterval>;
  private exporting = false;

  constructor(options: MetricsIntervalOptions) {
    this.options = options;
    this.timer = setInterval(() => void this.export(), options.output.intervalMs);
  }

  /** The last export: waits for at most `ms`. */
  async end(ms: number): Promise<void> {
    clearInterval(this.timer);
    await Promise.race([this.export(), Bun.sleep(ms)]);
  }

  /** Never rejects. An export that takes longer than the interval lets the next ones out. */
  private async export(): Promise<void> {
    if (this.exporting) return;
    this.exporting = true;
    const { output, series, onFailure } = this.options;
    try {
      const result = await output.export(await series(), Date.now());
      if (result.outcome !== "delivered") onFailure(result.why);
    } catch (error) {
      onFailure(messageOf(error));
    } finally {
      this.exporting = false;
    }
  }
}
