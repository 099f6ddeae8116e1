// Makes OTLP's metrics of the series.
import { ValueType } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { type InstrumentName, instrumentNamed, instrumentNames } from "../report/instruments.ts";
import { otlpMetricAttribute } from "../vocabulary/metric-attributes.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { OtlpOrigin } from "./otlp-resource.ts";
import { type HrTime, hrTime } from "./otlp-time.ts";

/** When counting began, and the time of the values; milliseconds since the epoch. */
export interface MetricTimes {
  readonly startedMs: number;
  readonly nowMs: number;
}

export function otlpMetrics(
  series: Iterable<CumulativeSeries>,
  origin: OtlpOrigin,
  { startedMs, nowMs }: MetricTimes,
): ResourceMetrics {
  const byName = Map.groupBy(series, ({ instrument }) => instrument);
  const times = { startTime: hrTime(startedMs), endTime: hrTime(nowMs) };
  const metrics = instrumentNames.flatMap((name) => {
    const list = byName.get(name);
    return list === undefined ? [] : [metric(name, list, times)];
  });
  const { schemaUrl } = origin;
  const resource = resourceFromAttributes(origin.resource, { schemaUrl });
  return { resource, scopeMetrics: [{ scope: { ...origin.scope, schemaUrl }, metrics }] };
}

function metric(
  name: InstrumentName,
  list: readonly CumulativeSeries[],
  times: { readonly startTime: HrTime; readonly endTime: HrTime },
): MetricData {
  const { otel, description, unit, kind, attributes, buckets } = instrumentNamed(name);
  const shared = {
    descriptor: { name: otel, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  const names = attributes.map((label) => otlpMetricAttribute(otel, label));
  const point = <T>(series: CumulativeSeries, value: T, extra: Readonly<Record<string, string>> = {}) => ({
    ...times,
    attributes: {
      ...Object.fromEntries(names.map((attribute, i) => [attribute, series.values[i] ?? ""])),
      ...extra,
    },
    value,
  });
  if (kind === "histogram") {
    const dataPoints = list.flatMap((series) => {
      if (typeof series.value === "number") return [];
      const { counts, sum } = series.value;
      const count = counts.reduce((total, own) => total + own, 0);
      return [
        point(series, { buckets: { boundaries: [...(buckets ?? [])], counts: [...counts] }, sum, count }),
      ];
    });
    return { ...shared, dataPointType: DataPointType.HISTOGRAM, dataPoints };
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

/** A tree's processes are two series, one for each state, as in the Prometheus format. */
function states(series: CumulativeSeries): { readonly state: string; readonly value: number }[] {
  const running = Number(series.value);
  return [
    { state: "RUNNING", value: running },
    { state: "STOPPED", value: running === 0 ? 1 : 0 },
  ];
}
