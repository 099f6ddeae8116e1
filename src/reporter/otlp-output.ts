// The OTLP output: sends records and metrics to an OpenTelemetry collector.
import { hostname } from "node:os";
import type { OutputSignal } from "../vocabulary/outputs.ts";
import { machineId } from "./machine-id.ts";
import type { Batch, Delivery, OutputKind, Pacing } from "./output.ts";

const pacing: Omit<Pacing, "gatherMs" | "maxRows"> = {
  intervalMs: 0,
  // Measured as JSON, which is larger than protobuf. Collectors accept at least 4 MiB; larger batches cost memory while
  // a long backlog is delivered.
  maxBytes: 1024 * 1024,
  rest: "next batch",
  deliversAtEnd: true,
};

export const otlpOutput: OutputKind<OutputSignal<"otlp">> = {
  name: "OTLP",
  signals: { metrics: "export metrics over OTLP", logs: "export logs over OTLP" },
  queue: "export",
  async open({ options, startedMs, inForce }) {
    const settings = options.otlp;
    if (settings === null) return undefined;
    const { logs, metrics } = settings;
    // Loaded on demand: several megabytes of code that a host without a collector does not need.
    const { otlpExporters } = await import("./otlp-exporters.ts");
    const stateDirectory = options.config.state_directory;
    const host = { hostId: machineId(), hostName: hostname(), stateDirectory };
    const exporters = otlpExporters(settings, { host, startedMs, inForce });
    const deliver = async ({ records }: Batch): Promise<Delivery> =>
      await exporters.exportLogs(await Array.fromAsync(records));
    return {
      ...(logs !== null
        ? {
            journal: {
              signal: "logs",
              position: "otlp.logs",
              pacing: { ...pacing, gatherMs: logs.gatherMs, maxRows: logs.batchSize },
              accepts: () => true,
              takesBestEffort: options.config.events === "all",
              deliver,
            },
          }
        : {}),
      ...(metrics !== null
        ? {
            metrics: {
              signal: "metrics",
              intervalMs: metrics.intervalMs,
              export: (series, nowMs) => exporters.exportMetrics(series, nowMs),
            },
          }
        : {}),
    };
  },
};
