// The table of OpenTelemetry's variables: what each may be, which output it concerns, and those that have no effect.
// Reader, checks and the table in docs/telemetry.md come from here.
import { configuredOutputs, type OutputSignal } from "../vocabulary/outputs.ts";
import {
  anyText,
  attributePairs,
  batchSize,
  compressionName,
  delay,
  duration,
  endpointUrl,
  exporterNames,
  filePath,
  headerPairs,
  histogramName,
  limitNumber,
  protocolName,
  temporalityName,
  truth,
  type ValueType,
} from "./otel-values.ts";

/** What OTLP carries. */
export const otlpSignals = configuredOutputs.otlp.signals;
export type OtlpSignal = OutputSignal<"otlp">;

/** A variable that is honoured. */
export interface OtelVariable<T> {
  readonly name: string;
  readonly type: ValueType<T>;
  readonly meaning: string;
  /** The setting of the configuration file that the variable replaces. */
  readonly setting?: string;
  /** What holds if neither is set. */
  readonly unset: string;
}

/** A variable and those that replace it for one signal. */
export interface SignalVariable<T> {
  readonly shared: OtelVariable<T>;
  readonly of: Readonly<Record<OtlpSignal, OtelVariable<T>>>;
}

function ofSignals<T>(
  suffix: string,
  {
    meaning,
    meaningOfSignal,
    ...rest
  }: Omit<OtelVariable<T>, "name"> & { readonly meaningOfSignal?: string },
): SignalVariable<T> {
  const row = (signal: OtlpSignal): OtelVariable<T> => ({
    name: `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${suffix}`,
    type: rest.type,
    meaning: (meaningOfSignal ?? "the same for SIGNAL alone").replace("SIGNAL", signal),
    unset: `\`OTEL_EXPORTER_OTLP_${suffix}\``,
  });
  return {
    shared: { name: `OTEL_EXPORTER_OTLP_${suffix}`, meaning, ...rest },
    of: { logs: row("logs"), metrics: row("metrics") },
  };
}

/** Each concerns logs and metrics, or one of them by the name of the variable. */
export const signalVariables = {
  endpoint: ofSignals("ENDPOINT", {
    type: endpointUrl,
    meaning: "the collector; `/v1/logs` and `/v1/metrics` are appended to the path",
    meaningOfSignal: "where SIGNAL are sent, with the complete path",
    setting: "otlp.endpoint",
    unset: "nothing is sent",
  }),
  protocol: ofSignals("PROTOCOL", {
    type: protocolName,
    meaning: "the encoding",
    setting: "otlp.protocol",
    unset: "`http/protobuf`",
  }),
  headers: ofSignals("HEADERS", {
    type: headerPairs,
    meaning: "further HTTP headers, such as a token",
    meaningOfSignal: "further ones for SIGNAL; they win over those above",
    setting: "otlp.headers",
    unset: "none",
  }),
  compression: ofSignals("COMPRESSION", {
    type: compressionName,
    meaning: "the compression of requests",
    setting: "otlp.compression",
    unset: "`gzip`",
  }),
  timeout: ofSignals("TIMEOUT", {
    type: duration,
    meaning: "the time for one request",
    setting: "otlp.timeout_seconds",
    unset: "10000",
  }),
  certificate: ofSignals("CERTIFICATE", {
    type: filePath,
    meaning: "the authorities that the collector's certificate must come from",
    setting: "otlp.certificate",
    unset: "those that Mozilla trusts",
  }),
  clientCertificate: ofSignals("CLIENT_CERTIFICATE", {
    type: filePath,
    meaning: "treewarden's own certificate, for mutual TLS",
    setting: "otlp.client_certificate",
    unset: "none",
  }),
  clientKey: ofSignals("CLIENT_KEY", {
    type: filePath,
    meaning: "its private key; may be readable by root alone",
    setting: "otlp.client_key",
    unset: "none",
  }),
} as const satisfies Readonly<Record<string, SignalVariable<unknown>>>;

/** These concern logs and metrics. */
export const sharedVariables = {
  disabled: {
    name: "OTEL_SDK_DISABLED",
    type: truth,
    meaning: "`true` turns OTLP off",
    unset: "`false`",
  },
  serviceName: {
    name: "OTEL_SERVICE_NAME",
    type: anyText,
    meaning: "`service.name` of the resource",
    unset: "`treewarden`",
  },
  resource: {
    name: "OTEL_RESOURCE_ATTRIBUTES",
    type: attributePairs,
    meaning: "further attributes of the resource; they replace treewarden's own",
    unset: "none",
  },
} as const satisfies Readonly<Record<string, OtelVariable<unknown>>>;

/** These concern logs. */
export const logVariables = {
  exporters: {
    name: "OTEL_LOGS_EXPORTER",
    type: exporterNames(),
    meaning: "`none` turns logs off",
    unset: "`otlp`",
  },
  gather: {
    name: "OTEL_BLRP_SCHEDULE_DELAY",
    type: delay,
    meaning: "how long records are gathered for a request",
    unset: "1000",
  },
  exportTimeout: {
    name: "OTEL_BLRP_EXPORT_TIMEOUT",
    type: duration,
    meaning: "the time for a request, if it is shorter than the timeout above",
    unset: "that timeout",
  },
  batchSize: {
    name: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    type: batchSize,
    meaning: "the most records of a request",
    unset: "512",
  },
  attributes: {
    name: "OTEL_ATTRIBUTE_COUNT_LIMIT",
    type: limitNumber,
    meaning: "the most attributes of a log record; the others are left out and counted in it",
    unset: "128",
  },
  logAttributes: {
    name: "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    type: limitNumber,
    meaning: "the same; it wins over the one above",
    unset: "`OTEL_ATTRIBUTE_COUNT_LIMIT`",
  },
  valueLength: {
    name: "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    type: limitNumber,
    meaning: "the most characters of a text in an attribute; the rest is cut off",
    unset: "none",
  },
  logValueLength: {
    name: "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    type: limitNumber,
    meaning: "the same; it wins over the one above",
    unset: "`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`",
  },
} as const satisfies Readonly<Record<string, OtelVariable<unknown>>>;

/** These concern metrics. */
export const metricVariables = {
  exporters: {
    name: "OTEL_METRICS_EXPORTER",
    type: exporterNames("prometheus"),
    meaning: "without `otlp`, no metrics are sent over OTLP. Prometheus has its endpoint in any case",
    unset: "`otlp`",
  },
  interval: {
    name: "OTEL_METRIC_EXPORT_INTERVAL",
    type: duration,
    meaning: "the time between two exports",
    setting: "otlp.interval_seconds",
    unset: "60000",
  },
  exportTimeout: {
    name: "OTEL_METRIC_EXPORT_TIMEOUT",
    type: duration,
    meaning: "the time for a request, if it is shorter than the timeout above",
    unset: "that timeout",
  },
  temporality: {
    name: "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    type: temporalityName,
    meaning: "counters and histograms are totals since the start",
    unset: "`cumulative`",
  },
  histograms: {
    name: "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    type: histogramName,
    meaning:
      "the buckets of histograms: those that Prometheus gets too, or exponential ones (at most 160, each wider than the last by the same factor)",
    unset: "`explicit_bucket_histogram`",
  },
} as const satisfies Readonly<Record<string, OtelVariable<unknown>>>;

/** Variables that are reported at the start because they have no effect here. */
export interface IneffectiveVariables {
  readonly names: RegExp;
  /** The names as the manual writes them. */
  readonly shown: string;
  readonly why: string;
}

export const ineffectiveVariables: readonly IneffectiveVariables[] = [
  {
    names:
      /^OTEL_(?:TRACES_|EXPORTER_OTLP_TRACES_|EXPORTER_ZIPKIN_|EXPORTER_JAEGER_|BSP_|SPAN_|PROPAGATORS$|EVENT_ATTRIBUTE_|LINK_ATTRIBUTE_)/,
    shown:
      "`OTEL_TRACES_*`, `OTEL_EXPORTER_OTLP_TRACES_*`, `OTEL_EXPORTER_ZIPKIN_*`, `OTEL_BSP_*`, `OTEL_SPAN_*`, `OTEL_EVENT_*`, `OTEL_LINK_*`, `OTEL_PROPAGATORS`",
    why: "treewarden makes no traces",
  },
  {
    names: /^OTEL_EXPORTER_PROMETHEUS_/,
    shown: "`OTEL_EXPORTER_PROMETHEUS_HOST`, `_PORT`",
    why: "the address for Prometheus is metrics.listen",
  },
  {
    names: /^OTEL_EXPORTER_OTLP_(?:LOGS_|METRICS_)?INSECURE$/,
    shown: "`OTEL_EXPORTER_OTLP_INSECURE`, `..._LOGS_INSECURE`, `..._METRICS_INSECURE`",
    why: "it concerns gRPC; over HTTP the endpoint's scheme decides",
  },
  {
    names: /^OTEL_BLRP_MAX_QUEUE_SIZE$/,
    shown: "`OTEL_BLRP_MAX_QUEUE_SIZE`",
    why: "records wait in the journal, which journal.max_megabytes bounds",
  },
  {
    names: /^OTEL_METRICS_EXEMPLAR_FILTER$/,
    shown: "`OTEL_METRICS_EXEMPLAR_FILTER`",
    why: "treewarden makes no exemplars",
  },
  {
    names: /^OTEL_LOG_LEVEL$/,
    shown: "`OTEL_LOG_LEVEL`",
    why: "every failure of an export is logged, at most once a minute",
  },
  {
    names: /^(?:HTTPS?_PROXY|https?_proxy|ALL_PROXY|all_proxy)$/,
    shown: "`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`",
    why: "treewarden connects to the collector directly",
  },
];

/** A variable that would replace all others turns OTLP off, because none of what it says would hold. */
export const configurationFileVariables = ["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"] as const;
