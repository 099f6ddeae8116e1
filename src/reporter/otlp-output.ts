// The OTLP output: sends records and metrics to an OpenTelemetry collector.
import { hostname } from "node:os";
import { machineId } from "./machine-id.ts";
import { otlpSettings } from "./otlp-settings.ts";
import type { Batch, Delivery, OutputKind, Pacing } from "./output.ts";

const pacing: Pacing = {
  gatherMs: 1_000,
  intervalMs: 0,
  maxRows: 512,
  // Measured as JSON, which is larger than protobuf. Collectors accept at least 4 MiB.
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
    // Loaded on demand: several megabytes of code that a host without a collector does not need.
    const { otlpExporters } = await import("./otlp-exporters.ts");
    const host = { hostId: machineId(), hostName: hostname(), instanceId: options.run };
    const exporters = otlpExporters(settings, host, startedMs);
    const deliver = async ({ records }: Batch): Promise<Delivery> =>
      await exporters.exportLogs(await Array.fromAsync(records));
    return {
      ...(settings.logs !== undefined
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
      ...(settings.metrics !== undefined
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
