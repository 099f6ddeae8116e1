// Exports records and metrics to a collector. Loaded only when an endpoint is set, because OpenTelemetry's packages cost
// several megabytes.
import type { EventRecord } from "../report/event-record.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import { otlpLogRecord } from "./otlp-log-records.ts";
import { otlpMetrics } from "./otlp-metrics.ts";
import { type HostIdentity, otlpOrigin } from "./otlp-resource.ts";
import type { OtlpSettings } from "./otlp-settings.ts";
import { logSender, metricSender } from "./otlp-transport.ts";
import type { Delivery } from "./output.ts";

export interface OtlpExporters {
  /** Never rejects. */
  readonly exportLogs: (records: readonly EventRecord[]) => Promise<Delivery>;
  /** Never rejects. `nowMs`: milliseconds since the epoch. */
  readonly exportMetrics: (series: Iterable<CumulativeSeries>, nowMs: number) => Promise<Delivery>;
}

const delivered: Delivery = { outcome: "delivered" };

/** `startedMs`: the time when this run started counting, ms since the epoch. */
export function otlpExporters(
  { logs, metrics, resource }: OtlpSettings,
  host: HostIdentity,
  startedMs: number,
): OtlpExporters {
  const logsSender = logs === null ? undefined : logSender(logs);
  const metricsSender = metrics === null ? undefined : metricSender(metrics);
  const origin = otlpOrigin(host, resource);
  return {
    async exportLogs(records) {
      if (logs === null || logsSender === undefined || records.length === 0) return delivered;
      const { limits } = logs;
      const nowMs = Date.now();
      return await logsSender.send(records.map((record) => otlpLogRecord(record, origin, limits, nowMs)));
    },
    async exportMetrics(series, nowMs) {
      if (metricsSender === undefined) return delivered;
      return await metricsSender.send(otlpMetrics(series, origin, { startedMs, nowMs }));
    },
  };
}
