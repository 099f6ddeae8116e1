// Exports records and metrics to a collector. Loaded only when an endpoint is set, because OpenTelemetry's packages cost
// several megabytes.
import type { EventRecord } from "../report/event-record.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import { otlpLogRecord } from "./otlp-log-records.ts";
import { otlpMetrics } from "./otlp-metrics.ts";
import { type HostIdentity, type OtlpOrigin, otlpLogOrigin, otlpOrigin } from "./otlp-resource.ts";
import type { OtlpSettings } from "./otlp-settings.ts";
import { logSender, metricSender } from "./otlp-transport.ts";
import type { Delivery } from "./output.ts";
import type { PolicyDigests } from "./policy-digests.ts";

export interface OtlpExporters {
  /** Never rejects. */
  readonly exportLogs: (records: readonly EventRecord[]) => Promise<Delivery>;
  /** Never rejects. `nowMs`: milliseconds since the epoch. */
  readonly exportMetrics: (series: Iterable<CumulativeSeries>, nowMs: number) => Promise<Delivery>;
}

export interface OtlpProducer {
  readonly host: HostIdentity;
  /** When this run started counting, milliseconds since the epoch. */
  readonly startedMs: number;
  readonly inForce: () => PolicyDigests;
}

const delivered: Delivery = { outcome: "delivered" };

/** How long batches of log records go on naming the same policy as in force. */
const IN_FORCE_MS = 10_000;

export function otlpExporters(
  { logs, metrics, resource }: OtlpSettings,
  { host, startedMs, inForce }: OtlpProducer,
): OtlpExporters {
  const logsSender = logs === null ? undefined : logSender(logs);
  const metricsSender = metrics === null ? undefined : metricSender(metrics);
  const origin = otlpOrigin(host, resource);
  // Invalidated by: its age, because to find out what is in force takes a look at every series.
  let logOrigin: OtlpOrigin | undefined;
  let logOriginUntil = 0;
  const currentLogOrigin = (nowMs: number): OtlpOrigin => {
    if (logOrigin !== undefined && nowMs < logOriginUntil) return logOrigin;
    logOriginUntil = nowMs + IN_FORCE_MS;
    logOrigin = otlpLogOrigin(host, resource, inForce());
    return logOrigin;
  };
  return {
    async exportLogs(records) {
      if (logs === null || logsSender === undefined || records.length === 0) return delivered;
      const { limits } = logs;
      const nowMs = Date.now();
      return await logsSender.send({
        origin: currentLogOrigin(nowMs),
        records: records.map((record) => otlpLogRecord(record, limits, nowMs)),
      });
    },
    async exportMetrics(series, nowMs) {
      if (metrics === null || metricsSender === undefined) return delivered;
      const { histograms } = metrics;
      return await metricsSender.send(otlpMetrics({ series, startedMs, nowMs, histograms }, origin));
    },
  };
}
