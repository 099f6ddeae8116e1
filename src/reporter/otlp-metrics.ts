// Makes OTLP's metrics of the series.
import { ValueType } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type Histogram,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { noObservations } from "../report/exponential-buckets.ts";
import { type InstrumentName, instrumentNamed, instrumentNames } from "../report/instruments.ts";
import type { HistogramValue } from "../report/wire.ts";
import { otlpMetricAttribute } from "../vocabulary/metric-attributes.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { OtlpOrigin } from "./otlp-resource.ts";
import type { HistogramBuckets } from "./otlp-settings.ts";
import { hrTime } from "./otlp-time.ts";

export interface MetricsBatch {
  readonly series: Iterable<CumulativeSeries>;
  /** When counting began, for series that do not know when they began, and the time of the values; ms since the epoch. */
  readonly startedMs: number;
  readonly nowMs: number;
  readonly histograms: HistogramBuckets;
}

export function otlpMetrics(batch: MetricsBatch, origin: OtlpOrigin): ResourceMetrics {
  const byName = Map.groupBy(batch.series, ({ instrument }) => instrument);
  const metrics = instrumentNames.flatMap((name) => {
    const list = byName.get(name);
    return list === undefined ? [] : [metric(name, list, batch)];
  });
  const { schemaUrl } = origin;
  const resource = resourceFromAttributes(origin.resource, { schemaUrl });
  return { resource, scopeMetrics: [{ scope: { ...origin.scope, schemaUrl }, metrics }] };
}

function metric(
  name: InstrumentName,
  list: readonly CumulativeSeries[],
  { startedMs, nowMs, histograms }: MetricsBatch,
): MetricData {
  const { otel, description, unit, kind, attributes, buckets = [] } = instrumentNamed(name);
  const shared = {
    descriptor: { name: otel, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const names = attributes.map((label) => otlpMetricAttribute(otel, label));
  const endTime = hrTime(nowMs);
  const point = <T>(series: CumulativeSeries, value: T, extra: Readonly<Record<string, string>> = {}) => ({
    // A series that was removed and begins again at 0 has another start.
    startTime: hrTime(Math.min(series.createdMs ?? startedMs, nowMs)),
    endTime,
    attributes: {
      ...Object.fromEntries(names.map((attribute, i) => [attribute, series.values[i] ?? ""])),
      ...extra,
    },
    value,
  });
  if (kind === "histogram") {
    const values = list.flatMap((series) =>
      typeof series.value === "number" ? [] : [{ series, value: series.value }],
    );
    return histograms === "base2_exponential_bucket_histogram"
      ? {
          ...shared,
          dataPointType: DataPointType.EXPONENTIAL_HISTOGRAM,
          dataPoints: values.map(({ series, value }) => point(series, exponentialHistogram(value))),
        }
      : {
          ...shared,
          dataPointType: DataPointType.HISTOGRAM,
          dataPoints: values.map(({ series, value }) => point(series, explicitHistogram(value, buckets))),
        };
  }
  const dataPoints = list.flatMap((series) =>
    name === "treeProcesses"
      ? states(series).map(({ state, value }) =>
          point(series, value, { [otlpMetricAttribute(otel, "state")]: state }),
        )
      : [point(series, Number(series.value))],
  );
  return kind === "gauge"
    ? { ...shared, dataPointType: DataPointType.GAUGE, dataPoints }
    : { ...shared, dataPointType: DataPointType.SUM, dataPoints, isMonotonic: true };
}

function explicitHistogram({ counts, sum }: HistogramValue, bounds: readonly number[]): Histogram {
  return { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count: total(counts) };
}

function exponentialHistogram({ counts, sum, exponential = noObservations }: HistogramValue) {
  const { scale, zeros, offset } = exponential;
  return {
    count: total(counts),
    sum,
    scale,
    zeroCount: zeros,
    positive: { offset, bucketCounts: [...exponential.counts] },
    negative: { offset: 0, bucketCounts: [] },
  };
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** A tree's processes are two series, one for each state, as in the Prometheus format. */
function states(series: CumulativeSeries): { readonly state: string; readonly value: number }[] {
  const running = Number(series.value);
  return [
    { state: "RUNNING", value: running },
    { state: "STOPPED", value: running === 0 ? 1 : 0 },
  ];
}
