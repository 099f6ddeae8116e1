// The settings of OTLP: from the standard variables, or else from the configuration file.
import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";

export interface OtlpSettings {
  readonly logs: boolean;
  readonly metrics: boolean;
  /** Undefined if the exporter reads it from the variables. */
  readonly logsUrl: string | undefined;
  readonly metricsUrl: string | undefined;
  /** The longest that one export may take. */
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** The options for the exporters. They read the variables that are set by themselves. */
  readonly exporter: Readonly<Record<string, unknown>>;
  /** Further attributes of the resource: OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME. */
  readonly resource: Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined if OTLP is not configured. An empty variable counts as unset (OpenTelemetry specification). */
export function otlpSettings(
  config: Config["otlp"],
  environment: Environment,
  warn: (message: string) => void,
): OtlpSettings | undefined {
  const variable = (name: string): string | undefined => environment[name] || undefined;
  if (variable("OTEL_SDK_DISABLED")?.toLowerCase() === "true") return undefined;
  const wanted = (signal: "LOGS" | "METRICS"): boolean => {
    const chosen = variable(`OTEL_${signal}_EXPORTER`);
    if (chosen !== undefined && !chosen.split(",").includes("otlp")) return false;
    return (
      variable(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) !== undefined ||
      variable("OTEL_EXPORTER_OTLP_ENDPOINT") !== undefined ||
      config.endpoint !== undefined
    );
  };
  const logs = wanted("LOGS");
  const metrics = wanted("METRICS");
  if (!logs && !metrics) return undefined;
  for (const name of ["PROTOCOL", "LOGS_PROTOCOL", "METRICS_PROTOCOL"]) {
    const protocol = variable(`OTEL_EXPORTER_OTLP_${name}`);
    if (protocol === undefined || protocol === "http/protobuf") continue;
    warn(`OTEL_EXPORTER_OTLP_${name}=${protocol} is not supported: http/protobuf is used`);
  }
  const url = (signal: "LOGS" | "METRICS"): string | undefined => {
    if (variable(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) ?? variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
      return undefined;
    return config.endpoint === undefined
      ? undefined
      : `${config.endpoint.replace(/\/+$/, "")}/v1/${signal.toLowerCase()}`;
  };
  // If any variable of a setting is set, the variables alone define that setting.
  const variants = (name: string): readonly (string | undefined)[] =>
    ["", "LOGS_", "METRICS_"].map((signal) => variable(`OTEL_EXPORTER_OTLP_${signal}${name}`));
  const has = (name: string): boolean => variants(name).some((value) => value !== undefined);
  const timeouts = variants("TIMEOUT").flatMap((value) => milliseconds(value) ?? []);
  return {
    logs,
    metrics,
    logsUrl: url("LOGS"),
    metricsUrl: url("METRICS"),
    timeoutMs: Math.max(...timeouts, timeouts.length > 0 ? 0 : config.timeout_seconds * 1000),
    intervalMs: milliseconds(variable("OTEL_METRIC_EXPORT_INTERVAL")) ?? config.interval_seconds * 1000,
    exporter: {
      ...(has("HEADERS") ? {} : { headers: { ...config.headers } }),
      ...(has("COMPRESSION") ? {} : { compression: config.compression }),
      ...(has("TIMEOUT") ? {} : { timeoutMillis: config.timeout_seconds * 1000 }),
      ...(has("CERTIFICATE") || has("CLIENT_KEY") || has("CLIENT_CERTIFICATE") ? {} : tls(config)),
    },
    resource: resource(variable),
  };
}

/** The certificates from the configuration file, read at the start, so that an error is reported at once. */
function tls(config: Config["otlp"]): Record<string, unknown> {
  const options = {
    ...(config.certificate === undefined ? {} : { ca: readFileSync(config.certificate) }),
    ...(config.client_certificate === undefined ? {} : { cert: readFileSync(config.client_certificate) }),
    ...(config.client_key === undefined ? {} : { key: readFileSync(config.client_key) }),
  };
  return Object.keys(options).length === 0 ? {} : { httpAgentOptions: { keepAlive: true, ...options } };
}

function milliseconds(value: string | undefined): number | undefined {
  const number = Number(value);
  return value === undefined || !Number.isFinite(number) || number <= 0 ? undefined : number;
}

/**
 * `key=value` pairs separated by commas, values percent-encoded; OTEL_SERVICE_NAME wins over `service.name` in them.
 */
function resource(variable: (name: string) => string | undefined): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const pair of variable("OTEL_RESOURCE_ATTRIBUTES")?.split(",") ?? []) {
    const sign = pair.indexOf("=");
    if (sign <= 0) continue;
    try {
      attributes[pair.slice(0, sign).trim()] = decodeURIComponent(pair.slice(sign + 1).trim());
    } catch {
      // The specification demands that a variable that cannot be decoded is ignored as a whole.
      return serviceName(variable, {});
    }
  }
  return serviceName(variable, attributes);
}

function serviceName(
  variable: (name: string) => string | undefined,
  attributes: Record<string, string>,
): Record<string, string> {
  const name = variable("OTEL_SERVICE_NAME");
  return name === undefined ? attributes : { ...attributes, "service.name": name };
}
