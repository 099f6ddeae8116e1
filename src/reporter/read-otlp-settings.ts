// Makes the settings of OTLP from the standard variables and the configuration file. A variable that is set replaces the
// file's setting. A value that cannot be used turns the outputs off that it concerns.
import type { Config } from "../config/config.ts";
import type { OutputProblem } from "../report/output-problem.ts";
import { shownValue } from "../vocabulary/error-text.ts";
import {
  configurationFileVariables,
  ineffectiveVariables,
  logVariables,
  metricVariables,
  type OtelVariable,
  type OtlpSignal,
  otlpSignals,
  type SignalVariable,
  sharedVariables,
  signalVariables,
} from "./otel-variables.ts";
import type { OtlpSettings, SignalSettings, TlsContents } from "./otlp-settings.ts";
import { type NamedFile, readAuthorities, readKeyPair } from "./pem-files.ts";

type OtelEnvironment = Readonly<Record<string, string | undefined>>;

export interface OtlpReading {
  /** What can be used; null if nothing is exported. */
  readonly settings: OtlpSettings | null;
  readonly problems: readonly OutputProblem[];
  /** Variables that are set and have no effect. */
  readonly notes: readonly string[];
}

const nothing: OtlpReading = { settings: null, problems: [], notes: [] };

/** Records are gathered this long unless a variable says otherwise: OpenTelemetry's default. */
const GATHER_MS = 1_000;
/** Defaults of the specification. */
const BATCH_SIZE = 512;
const ATTRIBUTES = 128;

/** Reads the files of TLS too, so it must be called before the rights of root are gone. */
export function readOtlpSettings(config: Config["otlp"], environment: OtelEnvironment): OtlpReading {
  return new OtlpSettingsReader(config, environment).read();
}

/** Whether OTLP may be used at all; with every doubt true. For the privileges of the reporter. */
export function mayExport(config: Config["otlp"], environment: OtelEnvironment): boolean {
  const { shared, of } = signalVariables.endpoint;
  const names = [shared.name, of.logs.name, of.metrics.name];
  return config.endpoint !== undefined || names.some((name) => textOf(environment, name) !== undefined);
}

/** An empty variable counts as unset (OpenTelemetry specification). */
function textOf(environment: OtelEnvironment, name: string): string | undefined {
  return environment[name] || undefined;
}

class OtlpSettingsReader {
  private readonly config: Config["otlp"];
  private readonly environment: OtelEnvironment;
  /** The outputs that each problem concerns, by its text. */
  private readonly problems = new Map<string, Set<OtlpSignal>>();
  private readonly authorities = new Map<string, ReturnType<typeof readAuthorities>>();

  constructor(config: Config["otlp"], environment: OtelEnvironment) {
    this.config = config;
    this.environment = environment;
  }

  read(): OtlpReading {
    const endpoints = otlpSignals.filter((signal) => this.hasEndpoint(signal));
    if (endpoints.length === 0) return { ...nothing, notes: this.notesWithoutEndpoint() };
    const isDisabled = this.shared(sharedVariables.disabled, endpoints);
    if (isDisabled === true) return nothing;
    const resource = this.resource(endpoints);
    for (const name of configurationFileVariables)
      if (textOf(this.environment, name) !== undefined)
        this.report(`${name} is not supported: use the other variables or the configuration file`, endpoints);
    const logs = endpoints.includes("logs") ? this.logs() : null;
    const metrics = endpoints.includes("metrics") ? this.metrics() : null;
    const settings = {
      logs: this.unlessOff("logs", logs),
      metrics: this.unlessOff("metrics", metrics),
      resource,
    };
    return {
      settings: settings.logs === null && settings.metrics === null ? null : settings,
      problems: [...this.problems].map(([text, signals]) => problemOf(text, [...signals])),
      notes: this.notes(),
    };
  }

  private hasEndpoint(signal: OtlpSignal): boolean {
    const { shared, of } = signalVariables.endpoint;
    const names = [shared.name, of[signal].name];
    return (
      this.config.endpoint !== undefined || names.some((name) => textOf(this.environment, name) !== undefined)
    );
  }

  private logs(): OtlpSettings["logs"] {
    const one = <T>(variable: OtelVariable<T>): T | undefined => this.value(variable, "logs");
    if (one(logVariables.exporters) === false) return null;
    const count = one(logVariables.logAttributes) ?? one(logVariables.attributes) ?? ATTRIBUTES;
    const length = one(logVariables.logValueLength) ?? one(logVariables.valueLength) ?? null;
    const exportTimeoutMs = one(logVariables.exportTimeout);
    return {
      ...this.signal("logs", exportTimeoutMs),
      gatherMs: one(logVariables.gather) ?? GATHER_MS,
      batchSize: one(logVariables.batchSize) ?? BATCH_SIZE,
      limits: { count, length },
    };
  }

  private metrics(): OtlpSettings["metrics"] {
    const one = <T>(variable: OtelVariable<T>): T | undefined => this.value(variable, "metrics");
    if (one(metricVariables.exporters) === false) return null;
    one(metricVariables.temporality);
    const exportTimeoutMs = one(metricVariables.exportTimeout);
    return {
      ...this.signal("metrics", exportTimeoutMs),
      intervalMs: one(metricVariables.interval) ?? this.config.interval_seconds * 1_000,
      histograms: one(metricVariables.histograms) ?? "explicit_bucket_histogram",
    };
  }

  private signal(signal: OtlpSignal, exportTimeoutMs: number | undefined): SignalSettings {
    const { config } = this;
    const { protocol, headers, compression, timeout } = signalVariables;
    const timeoutMs = this.ofSignal(timeout, signal) ?? config.timeout_seconds * 1_000;
    return {
      url: this.url(signal),
      protocol: this.ofSignal(protocol, signal) ?? config.protocol,
      headers: this.isSet(headers, signal)
        ? { ...this.value(headers.shared, signal), ...this.value(headers.of[signal], signal) }
        : config.headers,
      compression: this.ofSignal(compression, signal) ?? config.compression,
      timeoutMs: Math.min(timeoutMs, exportTimeoutMs ?? timeoutMs),
      tls: this.tls(signal),
    };
  }

  private url(signal: OtlpSignal): string {
    const { shared, of } = signalVariables.endpoint;
    const complete = textOf(this.environment, of[signal].name) && this.value(of[signal], signal);
    if (complete !== undefined) return complete;
    const base = textOf(this.environment, shared.name) ? this.value(shared, signal) : this.config.endpoint;
    return base === undefined ? "" : withPath(base, `v1/${signal}`);
  }

  /** If a variable of TLS is set, the variables alone define it. */
  private tls(signal: OtlpSignal): TlsContents {
    const { certificate, clientCertificate, clientKey } = signalVariables;
    const byVariable = [certificate, clientCertificate, clientKey].some((each) => this.isSet(each, signal));
    const ca = this.file(certificate, signal, byVariable, this.config.certificate);
    const cert = this.file(clientCertificate, signal, byVariable, this.config.client_certificate);
    const key = this.file(clientKey, signal, byVariable, this.config.client_key);
    const authorities = ca && this.authoritiesIn(ca);
    if (authorities?.ok === false) this.report(authorities.problem, [signal]);
    if (cert === undefined && key !== undefined)
      this.report(`${key.setting} is set, but no client certificate`, [signal]);
    if (cert !== undefined && key === undefined)
      this.report(`${cert.setting} is set, but no client key`, [signal]);
    const pair = cert && key && readKeyPair(cert, key);
    if (pair?.ok === false) this.report(pair.problem, [signal]);
    return {
      ...(authorities?.ok === true ? { ca: authorities.ca } : {}),
      ...(pair?.ok === true ? { cert: pair.cert, key: pair.key } : {}),
      files: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
    };
  }

  private file(
    variable: SignalVariable<string>,
    signal: OtlpSignal,
    byVariable: boolean,
    configured: string | undefined,
  ): NamedFile | undefined {
    const { shared, of } = variable;
    for (const { name } of [of[signal], shared]) {
      const path = textOf(this.environment, name);
      if (path !== undefined) return { setting: name, path };
    }
    if (byVariable || configured === undefined) return undefined;
    return { setting: shared.setting ?? shared.name, path: configured };
  }

  private authoritiesIn(file: NamedFile): ReturnType<typeof readAuthorities> {
    const known = this.authorities.get(file.path) ?? readAuthorities(file);
    this.authorities.set(file.path, known);
    return known;
  }

  /** OTEL_SERVICE_NAME wins over `service.name` in OTEL_RESOURCE_ATTRIBUTES. */
  private resource(signals: readonly OtlpSignal[]): Readonly<Record<string, string>> {
    const name = this.shared(sharedVariables.serviceName, signals);
    const attributes = this.shared(sharedVariables.resource, signals) ?? {};
    return name === undefined ? attributes : { ...attributes, "service.name": name };
  }

  private isSet({ shared, of }: SignalVariable<unknown>, signal: OtlpSignal): boolean {
    return [shared, of[signal]].some(({ name }) => textOf(this.environment, name) !== undefined);
  }

  /** The variable of the signal alone, or else the shared one. */
  private ofSignal<T>({ shared, of }: SignalVariable<T>, signal: OtlpSignal): T | undefined {
    const own = textOf(this.environment, of[signal].name);
    return this.value(own === undefined ? shared : of[signal], signal);
  }

  private shared<T>(variable: OtelVariable<T>, signals: readonly OtlpSignal[]): T | undefined {
    let value: T | undefined;
    for (const signal of signals) value = this.value(variable, signal);
    return value;
  }

  /** The value; undefined if the variable is not set, or cannot be used, which is reported. */
  private value<T>({ name, type }: OtelVariable<T>, signal: OtlpSignal): T | undefined {
    const text = textOf(this.environment, name);
    if (text === undefined) return undefined;
    const value = type.parse(text);
    const found = type.secret === true ? "" : `, not ${shownValue(text)}`;
    if (value === undefined) this.report(`${name} must be ${type.mustBe}${found}`, [signal]);
    return value;
  }

  private report(text: string, signals: readonly OtlpSignal[]): void {
    const known = this.problems.get(text) ?? new Set();
    for (const signal of signals) known.add(signal);
    this.problems.set(text, known);
  }

  private unlessOff<T>(signal: OtlpSignal, settings: T | null): T | null {
    return [...this.problems.values()].some((signals) => signals.has(signal)) ? null : settings;
  }

  private notes(): readonly string[] {
    const set = Object.keys(this.environment).filter((name) => textOf(this.environment, name) !== undefined);
    const notes = ineffectiveVariables.flatMap(({ names, why }) => {
      const found = set.filter((name) => names.test(name) && !isNone(name, this.environment));
      return found.length === 0 ? [] : [`${found.join(", ")}: no effect, ${why}`];
    });
    const unknown = set.filter((name) => name.startsWith("OTEL_") && !isKnown(name));
    return unknown.length === 0
      ? notes
      : [...notes, `${unknown.join(", ")}: not known to treewarden, no effect`];
  }

  /** An exporter that is asked for needs an endpoint: treewarden has none by default. */
  private notesWithoutEndpoint(): readonly string[] {
    return [logVariables.exporters, metricVariables.exporters].flatMap(({ name }) =>
      textOf(this.environment, name)?.includes("otlp") === true
        ? [`${name}: no effect, because no endpoint is set: OTEL_EXPORTER_OTLP_ENDPOINT`]
        : [],
    );
  }
}

/** `OTEL_TRACES_EXPORTER=none` says what treewarden does anyway. */
function isNone(name: string, environment: OtelEnvironment): boolean {
  return name === "OTEL_TRACES_EXPORTER" && environment[name] === "none";
}

/** The names of all variables that are honoured. */
export const honouredNames: ReadonlySet<string> = new Set([
  ...Object.values(signalVariables).flatMap(({ shared, of }) => [shared.name, of.logs.name, of.metrics.name]),
  ...[sharedVariables, logVariables, metricVariables].flatMap((rows) =>
    Object.values(rows).map(({ name }) => name),
  ),
]);

function isKnown(name: string): boolean {
  if (honouredNames.has(name) || configurationFileVariables.some((each) => each === name)) return true;
  return ineffectiveVariables.some(({ names }) => names.test(name));
}

/** The path of the endpoint with `path` behind it; a query stays. */
function withPath(base: string, path: string): string {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path}`;
  return url.href;
}

function problemOf(text: string, signals: readonly OtlpSignal[]): OutputProblem {
  const what = signals.length > 1 ? "OTLP is off" : `OTLP ${signals.join()} are off`;
  return { signals, text: `${what}: ${text}` };
}
