// Sends logs and metrics to a collector, and says what became of each batch.
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import type { ResourceMetrics } from "@opentelemetry/sdk-metrics";
import type { SignalSettings } from "./otlp-settings.ts";
import type { Delivery } from "./output.ts";

/** Sends one signal. */
export interface OtlpSender<T> {
  /** Never rejects, and resolves in bounded time. */
  readonly send: (batch: T) => Promise<Delivery>;
}

export function logSender(settings: SignalSettings): OtlpSender<ReadableLogRecord[]> {
  const exporter = new OTLPLogExporter(exporterOptions(settings));
  return { send: (batch) => bounded(settings, (callback) => exporter.export(batch, callback)) };
}

export function metricSender(settings: SignalSettings): OtlpSender<ResourceMetrics> {
  const exporter = new OTLPMetricExporter(exporterOptions(settings));
  return { send: (batch) => bounded(settings, (callback) => exporter.export(batch, callback)) };
}

/** The exporters read variables only for settings that are missing here. */
function exporterOptions(settings: SignalSettings): Readonly<Record<string, unknown>> {
  const { url, headers, compression, timeoutMs, tls } = settings;
  return {
    url,
    headers: { ...headers },
    compression,
    timeoutMillis: timeoutMs,
    httpAgentOptions: { keepAlive: true, ...tls },
  };
}

/** 0 is success (ExportResultCode of @opentelemetry/core). */
type Callback = (result: { readonly code: number; readonly error?: Error }) => void;

/** A deadline for all tries together, because the exporter's own deadline applies to each try. */
function bounded({ timeoutMs }: SignalSettings, start: (callback: Callback) => void): Promise<Delivery> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ outcome: "failed", why: "no answer" }), timeoutMs * 2 + 1_000);
    start(({ code, error }) => {
      clearTimeout(timer);
      resolve(code === 0 ? { outcome: "delivered" } : refused(error));
    });
  });
}

/**
 * Maps the HTTP status in the exporter's error. 400 and 422 mean that the batch is invalid; other refusals (401, 404,
 * 500...) concern the collector or the path to it, and the batch is retried until that is fixed.
 */
function refused(error: Error | undefined): Delivery {
  const status = error !== undefined && "code" in error ? error.code : undefined;
  const outcome = status === 413 ? "too large" : status === 400 || status === 422 ? "rejected" : "failed";
  const why = error?.message || "refused";
  return { outcome, why: typeof status === "number" ? `HTTP ${status} ${why}` : why };
}
