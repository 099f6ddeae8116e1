// OTLP: records and metrics to an OpenTelemetry collector.
import { hostname } from "node:os";
import { machineId } from "./machine-id.ts";
import { otlpSettings } from "./otlp-settings.ts";
import type { Batch, Delivery, OutputKind, Pacing } from "./output.ts";

const pacing: Pacing = {
  gatherMs: 250,
  intervalMs: 0,
  maxRows: 512,
  // JSON, which is more than its protobuf; collectors take 4 MiB and more.
  maxBytes: 2 * 1024 * 1024,
  rest: "next batch",
  deliversAtEnd: true,
};

export const otlpOutput: OutputKind<"logs" | "metrics"> = {
  name: "OTLP",
  signals: { metrics: "export metrics over OTLP", logs: "export logs over OTLP" },
  queue: "export",
  async open({ options, environment, startedMs, warn }) {
    const settings = otlpSettings(options.config.otlp, environment, warn);
    if (settings === undefined) return undefined;
    // Several megabytes of code, which a host without a collector does not pay for.
    const { OtlpExporters } = await import("./otlp-exporters.ts");
    const resource = { hostId: machineId(), hostName: hostname(), instanceId: options.run };
    const exporters = new OtlpExporters(settings, resource, startedMs);
    const deliver = async ({ records }: Batch): Promise<Delivery> =>
      await exporters.exportLogs(await Array.fromAsync(records));
    return {
      ...(settings.logs
        ? {
            journal: {
              signal: "logs",
              position: "otlp.logs",
              pacing,
              accepts: () => true,
              takesBestEffort: options.config.events === "all",
              deliver,
            },
          }
        : {}),
      ...(settings.metrics
        ? {
            metrics: {
              signal: "metrics",
              intervalMs: settings.intervalMs,
              export: (series, nowMs) => exporters.exportMetrics(series, nowMs),
            },
          }
        : {}),
    };
  },
};
