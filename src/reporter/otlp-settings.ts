// The settings of OTLP: from the standard variables, or else from the configuration file.
import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";

export interface OtlpSettings {
  /** Undefined if the signal is not exported. */
  readonly logs: SignalSettings | undefined;
  readonly metrics: SignalSettings | undefined;
  /** The time between two exports of metrics. */
  readonly intervalMs: number;
  /** Further attributes of the resource: OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME. */
  readonly resource: Readonly<Record<string, string>>;
}

/** How one signal is sent. */
export interface SignalSettings {
  /** Complete: the path of the signal is part of it. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: "gzip" | "none";
  /** The time for one try. */
  readonly timeoutMs: number;
  readonly tls: TlsContents;
}

/** Contents of files in PEM. */
export interface TlsContents {
  /** Certificates of the authorities that the collector's certificate must come from; absent: those of the runtime. */
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Signal = "LOGS" | "METRICS";

/** Undefined if OTLP is not configured. An empty variable counts as unset (OpenTelemetry specification). */
export function otlpSettings(
  config: Config["otlp"],
  environment: Environment,
  warn: (message: string) => void,
): OtlpSettings | undefined {
  const variable = (name: string): string | undefined => environment[name] || undefined;
  if (variable("OTEL_SDK_DISABLED")?.toLowerCase() === "true") return undefined;
  for (const name of ["PROTOCOL", "LOGS_PROTOCOL", "METRICS_PROTOCOL"]) {
    const protocol = variable(`OTEL_EXPORTER_OTLP_${name}`);
    if (protocol === undefined || protocol === "http/protobuf") continue;
    warn(`OTEL_EXPORTER_OTLP_${name}=${protocol} is not supported: http/protobuf is used`);
  }
  const logs = signalSettings("LOGS", config, variable);
  const metrics = signalSettings("METRICS", config, variable);
  if (logs === undefined && metrics === undefined) return undefined;
  return {
    logs,
    metrics,
    intervalMs: milliseconds(variable("OTEL_METRIC_EXPORT_INTERVAL")) ?? config.interval_seconds * 1000,
    resource: resource(variable),
  };
}

function signalSettings(
  signal: Signal,
  config: Config["otlp"],
  variable: (name: string) => string | undefined,
): SignalSettings | undefined {
  const chosen = variable(`OTEL_${signal}_EXPORTER`);
  if (chosen !== undefined && !chosen.split(",").includes("otlp")) return undefined;
  const own = (name: string): string | undefined => variable(`OTEL_EXPORTER_OTLP_${signal}_${name}`);
  const shared = (name: string): string | undefined => variable(`OTEL_EXPORTER_OTLP_${name}`);
  const setting = (name: string): string | undefined => own(name) ?? shared(name);
  const base = shared("ENDPOINT") ?? config.endpoint;
  const url = own("ENDPOINT") ?? (base && `${base.replace(/\/+$/, "")}/v1/${signal.toLowerCase()}`);
  if (url === undefined) return undefined;
  const isTlsByVariable = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"].some(
    (name) => setting(name) !== undefined,
  );
  const files = isTlsByVariable
    ? { ca: setting("CERTIFICATE"), cert: setting("CLIENT_CERTIFICATE"), key: setting("CLIENT_KEY") }
    : { ca: config.certificate, cert: config.client_certificate, key: config.client_key };
  const compression = setting("COMPRESSION");
  return {
    url,
    headers:
      setting("HEADERS") === undefined
        ? config.headers
        : { ...pairs(shared("HEADERS")), ...pairs(own("HEADERS")) },
    compression: compression === undefined ? config.compression : compression === "gzip" ? "gzip" : "none",
    timeoutMs: milliseconds(setting("TIMEOUT")) ?? config.timeout_seconds * 1000,
    tls: {
      ...(files.ca === undefined ? {} : { ca: readFileSync(files.ca) }),
      ...(files.cert === undefined ? {} : { cert: readFileSync(files.cert) }),
      ...(files.key === undefined ? {} : { key: readFileSync(files.key) }),
    },
  };
}

function milliseconds(value: string | undefined): number | undefined {
  const number = Number(value);
  return value === undefined || !Number.isFinite(number) || number <= 0 ? undefined : number;
}

/** `key=value` pairs separated by commas, values percent-encoded. Throws a URIError. */
function pairs(list: string | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pair of list?.split(",") ?? []) {
    const sign = pair.indexOf("=");
    if (sign > 0) found[pair.slice(0, sign).trim()] = decodeURIComponent(pair.slice(sign + 1).trim());
  }
  return found;
}

/** OTEL_SERVICE_NAME wins over `service.name` in OTEL_RESOURCE_ATTRIBUTES. */
function resource(variable: (name: string) => string | undefined): Record<string, string> {
  const name = variable("OTEL_SERVICE_NAME");
  const attributes = pairs(variable("OTEL_RESOURCE_ATTRIBUTES"));
  return name === undefined ? attributes : { ...attributes, "service.name": name };
}
