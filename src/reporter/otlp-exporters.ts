// Records and metrics to a collector by OpenTelemetry's own exporters.
// Loaded only when an endpoint is set: it costs several megabytes.
import { type HrTime, ValueType } from "@opentelemetry/api";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import type { EventRecord, RecordValue } from "../report/event-record.ts";
import { type InstrumentName, instrumentNamed, instrumentNames } from "../report/instruments.ts";
import { version } from "../report/version.ts";
import { eventNames, isEventName } from "../vocabulary/event-names.ts";
import { isSeverity, otlpSeverities } from "../vocabulary/severities.ts";
import { OTLP_PREFIX, otlpAttribute } from "../vocabulary/variables.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { OtlpSettings } from "./otlp-settings.ts";
import type { Delivery } from "./output.ts";

/** SeverityNumber (log data model) of records that are no verdicts: WARN if events are missing. */
const INFO = 9;
const WARN = 13;

export interface Resource {
  readonly hostId: string | undefined;
  readonly hostName: string;
  readonly instanceId: string;
}

/** 0 is success (ExportResultCode of @opentelemetry/core). */
type Callback = (result: { readonly code: number; readonly error?: Error }) => void;

export class OtlpExporters {
  private readonly logs: OTLPLogExporter | undefined;
  private readonly metrics: OTLPMetricExporter | undefined;
  private readonly resource: ReturnType<typeof resourceFromAttributes>;
  private readonly scope = { name: "treewarden", version };
  private readonly timeoutMs: number;
  private readonly startTime: HrTime;

  /** `startedMs`: when this run began counting, ms since the epoch. */
  constructor(settings: OtlpSettings, resource: Resource, startedMs: number) {
    const shared = settings.exporter;
    this.logs = settings.logs ? new OTLPLogExporter({ ...shared, ...urlOf(settings.logsUrl) }) : undefined;
    this.metrics = settings.metrics
      ? new OTLPMetricExporter({ ...shared, ...urlOf(settings.metricsUrl) })
      : undefined;
    this.timeoutMs = settings.timeoutMs;
    this.startTime = hrTime(startedMs);
    this.resource = resourceFromAttributes({
      "service.name": "treewarden",
      "service.version": version,
      "service.instance.id": resource.instanceId,
      "host.name": resource.hostName,
      "host.arch": process.arch === "x64" ? "amd64" : process.arch,
      "os.type": "linux",
      ...(resource.hostId === undefined ? {} : { "host.id": resource.hostId }),
      ...settings.resource,
    });
  }

  /** Never rejects. */
  exportLogs(records: readonly EventRecord[]): Promise<Delivery> {
    const { logs } = this;
    if (logs === undefined || records.length === 0) return Promise.resolve({ outcome: "delivered" });
    const batch = records.map((record) => this.logRecord(record));
    return this.bounded((callback) => logs.export(batch, callback));
  }

  exportMetrics(series: Iterable<CumulativeSeries>, nowMs: number): Promise<Delivery> {
    const { metrics } = this;
    if (metrics === undefined) return Promise.resolve({ outcome: "delivered" });
    const data = this.resourceMetrics(series, nowMs);
    return this.bounded((callback) => metrics.export(data, callback));
  }

  /** The exporter's own deadline is per try; this one is for all of them, so that nothing can hang here for ever. */
  private bounded(send: (callback: Callback) => void): Promise<Delivery> {
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => resolve({ outcome: "failed", why: "no answer" }),
        this.timeoutMs * 2 + 1_000,
      );
      send(({ code, error }) => {
        clearTimeout(timer);
        resolve(code === 0 ? { outcome: "delivered" } : refused(error));
      });
    });
  }

  private logRecord(record: EventRecord): ReadableLogRecord {
    const time = hrTimeOf(record.timestamp);
    const attributes: Record<string, string | number | boolean | string[] | number[]> = {};
    for (const [name, value] of Object.entries(record)) {
      if (name === "timestamp" || name === "event.name" || value === null) continue;
      attributes[otlpAttribute(name)] = plain(value);
    }
    return {
      hrTime: time,
      hrTimeObserved: hrTime(Date.now()),
      severityNumber: severityOf(record),
      eventName: OTLP_PREFIX + String(record["event.name"]),
      resource: this.resource,
      instrumentationScope: this.scope,
      attributes,
      droppedAttributesCount: 0,
    };
  }

  private resourceMetrics(series: Iterable<CumulativeSeries>, nowMs: number): ResourceMetrics {
    const byName = Map.groupBy(series, ({ instrument }) => instrument);
    const endTime = hrTime(nowMs);
    const metrics = instrumentNames.flatMap((name) => {
      const list = byName.get(name);
      return list === undefined ? [] : [this.metric(name, list, endTime)];
    });
    return { resource: this.resource, scopeMetrics: [{ scope: this.scope, metrics }] };
  }

  private metric(name: InstrumentName, list: readonly CumulativeSeries[], endTime: HrTime): MetricData {
    const { otel, description, unit, kind, attributes, buckets } = instrumentNamed(name);
    const shared = {
      descriptor: { name: otel, description, unit, valueType: ValueType.DOUBLE },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
    };
    const point = <T>(series: CumulativeSeries, value: T, extra: Readonly<Record<string, string>> = {}) => ({
      startTime: this.startTime,
      endTime,
      attributes: {
        ...Object.fromEntries(attributes.map((attribute, i) => [attribute, series.values[i] ?? ""])),
        ...extra,
      },
      value,
    });
    if (kind === "histogram") {
      const dataPoints = list.flatMap((one) => {
        if (typeof one.value === "number") return [];
        const { counts, sum } = one.value;
        const count = counts.reduce((total, own) => total + own, 0);
        return [
          point(one, { buckets: { boundaries: [...(buckets ?? [])], counts: [...counts] }, sum, count }),
        ];
      });
      return { ...shared, dataPointType: DataPointType.HISTOGRAM, dataPoints };
    }
    const dataPoints = list.flatMap((one) =>
      name === "treeProcesses"
        ? states(one).map(({ state, value }) => point(one, value, { state }))
        : [point(one, Number(one.value))],
    );
    return kind === "gauge"
      ? { ...shared, dataPointType: DataPointType.GAUGE, dataPoints }
      : { ...shared, dataPointType: DataPointType.SUM, dataPoints, isMonotonic: true };
  }
}

function severityOf(record: EventRecord): number {
  const severity = record["policy.severity"];
  if (isSeverity(severity)) return otlpSeverities[severity];
  const name = record["event.name"];
  return isEventName(name) && eventNames[name].warns === true ? WARN : INFO;
}

/**
 * The exporter's error carries the HTTP status. That the batch is wrong is said by 400 and 422; other refusals (401,
 * 404, 500...) are about the collector or the way to it, and the batch waits until somebody has seen to that.
 */
function refused(error: Error | undefined): Delivery {
  const status = error !== undefined && "code" in error ? error.code : undefined;
  const outcome = status === 413 ? "too large" : status === 400 || status === 422 ? "rejected" : "failed";
  const why = error?.message || "refused";
  return { outcome, why: typeof status === "number" ? `HTTP ${status} ${why}` : why };
}

/** A tree's processes are two series, one for each state, as in the text that Prometheus scrapes. */
function states(one: CumulativeSeries): { readonly state: string; readonly value: number }[] {
  const running = Number(one.value);
  return [
    { state: "RUNNING", value: running },
    { state: "STOPPED", value: running === 0 ? 1 : 0 },
  ];
}

function urlOf(url: string | undefined): { readonly url?: string } {
  return url === undefined ? {} : { url };
}

function plain(value: Exclude<RecordValue, null>): string | number | boolean | string[] | number[] {
  if (typeof value !== "object") return value;
  const texts: string[] = [];
  const numbers: number[] = [];
  for (const element of value) {
    if (typeof element === "string") texts.push(element);
    else numbers.push(element);
  }
  return texts.length > 0 ? texts : numbers;
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** A record's timestamp with its microseconds, which Date drops. */
function hrTimeOf(timestamp: RecordValue | undefined): HrTime {
  const match = /^(.{19})\.(\d{6})Z$/.exec(String(timestamp));
  const seconds = match === null ? Number.NaN : Date.parse(`${match[1]}Z`) / 1000;
  return Number.isNaN(seconds) ? hrTime(Date.now()) : [seconds, Number(match?.[2]) * 1000];
}
