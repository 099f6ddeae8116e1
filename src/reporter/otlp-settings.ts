// The settings of OTLP, as `treewarden run` passes them to the reporter.
import * as v from "valibot";

const milliseconds = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const quantity = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const namedFile = v.strictObject({ setting: v.string(), path: v.string() });

/** Contents of files in PEM. Root reads them, because the reporter may not: a key often is readable by root alone. */
const tlsContents = v.strictObject({
  /** Certificates of the authorities that the collector's certificate must come from; absent: those of the runtime. */
  ca: v.exactOptional(v.string()),
  cert: v.exactOptional(v.string()),
  key: v.exactOptional(v.string()),
  /** The files that they come from, see renewed-certificates.ts. */
  files: v.strictObject({
    ca: v.exactOptional(namedFile),
    cert: v.exactOptional(namedFile),
    key: v.exactOptional(namedFile),
  }),
});

const signalSettings = {
  /** Complete: the path of the signal is part of it. It may hold a password. */
  url: v.string(),
  protocol: v.picklist(["http/protobuf", "http/json"]),
  headers: v.record(v.string(), v.string()),
  compression: v.picklist(["gzip", "none"]),
  /** The time for one request. */
  timeoutMs: milliseconds,
  tls: tlsContents,
};
const SignalSettings = v.strictObject(signalSettings);

const attributeLimits = v.strictObject({
  /** The most attributes of a log record. */
  count: quantity,
  /** The most characters of a text in one; null: no limit. */
  length: v.nullable(quantity),
});

const LogSettings = v.strictObject({
  ...signalSettings,
  /** How long records are gathered for a request. */
  gatherMs: milliseconds,
  /** The most records of a request. */
  batchSize: quantity,
  limits: attributeLimits,
});

const MetricSettings = v.strictObject({
  ...signalSettings,
  /** The time between two exports. */
  intervalMs: milliseconds,
  /** Histograms with exponential buckets, or with those that Prometheus gets too. */
  histograms: v.picklist(["base2_exponential_bucket_histogram", "explicit_bucket_histogram"]),
});

export const otlpSettingsSchema = v.strictObject({
  /** Null if the signal is not exported. */
  logs: v.nullable(LogSettings),
  metrics: v.nullable(MetricSettings),
  /** Further attributes of the resource: OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME. */
  resource: v.record(v.string(), v.string()),
});

export type OtlpProtocol = SignalSettings["protocol"];
export type TlsContents = Readonly<v.InferOutput<typeof tlsContents>>;
/** How one signal is sent. */
export type SignalSettings = Readonly<v.InferOutput<typeof SignalSettings>>;
export type HistogramBuckets = v.InferOutput<typeof MetricSettings>["histograms"];
export type AttributeLimits = Readonly<v.InferOutput<typeof attributeLimits>>;
export type OtlpSettings = Readonly<v.InferOutput<typeof otlpSettingsSchema>>;
