// Exports every series to one output at an interval, and once more at the end.
import { messageOf } from "../vocabulary/errors.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { MetricsOutput } from "./output.ts";

export interface MetricsIntervalOptions {
  readonly output: MetricsOutput;
  /** The current values of all series. */
  readonly series: () => Promise<readonly CumulativeSeries[]>;
  readonly onFailure: (why: string) => void;
}

export class MetricsInterval {
  private readonly options: MetricsIntervalOptions;
  private readonly timer: ReturnType<typeof setInterval>;
  private exporting = false;
  /** The destination wants nothing before this time (performance.now()). */
  private notBefore = 0;

  constructor(options: MetricsIntervalOptions) {
    this.options = options;
    this.timer = setInterval(() => void this.export(), options.output.intervalMs);
  }

  /** Exports a last time, for at most `ms`. */
  async end(ms: number): Promise<void> {
    clearInterval(this.timer);
    await Promise.race([this.export(), Bun.sleep(ms)]);
  }

  /** Never rejects. Skipped while another one takes longer than the interval, and until the time that Retry-After demands. */
  private async export(): Promise<void> {
    if (this.exporting || performance.now() < this.notBefore) return;
    this.exporting = true;
    const { output, series, onFailure } = this.options;
    try {
      const result = await output.export(await series(), Date.now());
      if (result.outcome !== "delivered") onFailure(result.why);
      else if (result.partial !== undefined)
        onFailure(`${result.partial.rejected} of the data points were rejected: ${result.partial.why}`);
      if (result.outcome === "failed") this.notBefore = performance.now() + (result.retryAfterMs ?? 0);
    } catch (error) {
      onFailure(messageOf(error));
    } finally {
      this.exporting = false;
    }
  }
}
