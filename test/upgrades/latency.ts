// How soon after the exec of a program its verdict was carried out, as treewarden measures it.
import type { Metrics, Running } from "../system/treewarden.ts";

/** Cumulative, as Prometheus has them; seconds. */
type Buckets = readonly (readonly [bound: number, count: number])[];

export class Latency {
  private readonly before: Buckets;

  private constructor(before: Buckets) {
    this.before = before;
  }

  static async of(running: Running): Promise<Latency> {
    return new Latency(bucketsOf(await running.metrics()));
  }

  /** How many were killed since, and their median in microseconds, interpolated within a bucket. */
  async since(running: Running): Promise<{ readonly count: number; readonly median: number }> {
    const earlier = new Map(this.before);
    const grown = bucketsOf(await running.metrics()).map(
      ([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)] as const,
    );
    const total = grown.at(-1)?.[1] ?? 0;
    let low: readonly [number, number] = [0, 0];
    for (const [bound, count] of grown) {
      if (count > low[1] && count >= total / 2) {
        const part = (total / 2 - low[1]) / (count - low[1]);
        return { count: total, median: 1e6 * (low[0] + (bound - low[0]) * part) };
      }
      low = [bound, count];
    }
    return { count: 0, median: Number.NaN };
  }
}

function bucketsOf({ text }: Metrics): Buckets {
  const buckets = new Map<number, number>();
  for (const line of text.split("\n")) {
    if (!line.startsWith("treewarden_verdict_seconds_bucket{") || !line.includes('outcome="killed"'))
      continue;
    const bound = Number(/le="([^"]+)"/.exec(line)?.[1]?.replace("+Inf", "Infinity"));
    buckets.set(bound, (buckets.get(bound) ?? 0) + Number(line.slice(line.lastIndexOf(" ") + 1)));
  }
  return [...buckets].sort(([a], [b]) => a - b);
}
