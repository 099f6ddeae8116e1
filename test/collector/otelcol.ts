// A real OpenTelemetry Collector on loopback: what it receives is in files, as OTLP's JSON, one request a line.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../ports.ts";

/** Why there is no Collector to test with; undefined if there is one, or it can be built. In CI it always can. */
export function missingOtelcol(): string | undefined {
  if (process.env.CI === "true" || Bun.which("go") !== null) return undefined;
  return "the Collector cannot be built: there is no Go";
}

let executable: string | undefined;

/** The path of the Collector's executable. The first call on a host takes minutes. */
export function otelcol(): string {
  if (executable !== undefined) return executable;
  const build = Bun.spawnSync([join(import.meta.dir, "build.sh")], { stderr: "inherit" });
  if (!build.success) throw new Error("the Collector could not be built");
  executable = build.stdout.toString().trim();
  return executable;
}

/** Contents of files for TLS, as the receiver's settings name them. */
export interface ReceiverTls {
  readonly cert_file: string;
  readonly key_file: string;
  /** Clients must have a certificate of this authority. */
  readonly client_ca_file?: string;
}

/** A log record as the Collector has received it. */
export interface ReceivedLog {
  readonly eventName: string;
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export class Otelcol implements AsyncDisposable {
  readonly port: number;
  /** Metrics in the format of Prometheus, on loopback. */
  readonly prometheusPort: number;
  readonly logsFile: string;
  private readonly configuration: string;
  private readonly scheme: "http" | "https";
  private child: Bun.Subprocess | undefined;
  private output = "";

  /** `folder`: for its configuration and what it receives. */
  constructor(folder: string, tls?: ReceiverTls) {
    this.port = freePort();
    this.prometheusPort = freePort();
    this.scheme = tls === undefined ? "http" : "https";
    this.logsFile = join(folder, "logs.json");
    this.configuration = join(folder, "otelcol.yaml");
    const receiver = { endpoint: `127.0.0.1:${this.port}`, ...(tls === undefined ? {} : { tls }) };
    // JSON is YAML.
    const configuration = {
      receivers: { otlp: { protocols: { http: receiver } } },
      exporters: {
        file: { path: this.logsFile, append: true, flush_interval: "50ms" },
        prometheus: { endpoint: `127.0.0.1:${this.prometheusPort}` },
      },
      service: {
        telemetry: { metrics: { level: "none" }, logs: { level: "warn" } },
        pipelines: {
          logs: { receivers: ["otlp"], exporters: ["file"] },
          metrics: { receivers: ["otlp"], exporters: ["prometheus"] },
        },
      },
    };
    writeFileSync(this.configuration, JSON.stringify(configuration, undefined, 1));
  }

  get endpoint(): string {
    return `${this.scheme}://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** What it has logged. */
  get log(): string {
    return this.output;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = Bun.spawn([otelcol(), "--config", this.configuration], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.child = child;
    void this.collect(child.stderr);
    const end = performance.now() + 20_000;
    while (!(await isListening(this.port))) {
      if (child.exitCode !== null || performance.now() > end)
        throw new Error(`the Collector did not start: ${this.output}`);
      await Bun.sleep(20);
    }
  }

  /** Ends it in order: it has written what it received. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    await this.child?.exited;
  }

  signal(name: NodeJS.Signals): void {
    this.child?.kill(name);
  }

  /** Every log record that it has written, in the order of arrival. */
  logs(): ReceivedLog[] {
    if (!existsSync(this.logsFile)) return [];
    return readFileSync(this.logsFile, "utf8")
      .split("\n")
      .filter((line) => line.endsWith("}"))
      .flatMap(recordsOf);
  }

  private async collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.output += decoder.decode(chunk, { stream: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGKILL");
    await this.child?.exited;
  }
}

async function isListening(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

interface OtlpJson {
  readonly resourceLogs?: readonly {
    readonly scopeLogs?: readonly { readonly logRecords?: readonly OtlpJsonRecord[] }[];
  }[];
}

interface OtlpJsonRecord {
  readonly eventName?: string;
  readonly timeUnixNano?: string;
  readonly observedTimeUnixNano?: string;
  readonly attributes?: readonly { readonly key: string; readonly value: OtlpJsonValue }[];
}

interface OtlpJsonValue {
  readonly stringValue?: string;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values?: readonly OtlpJsonValue[] };
}

/** The records of one request. The Collector wrote it, so its shape is not checked. */
function recordsOf(line: string): ReceivedLog[] {
  const request: OtlpJson = JSON.parse(line);
  return (request.resourceLogs ?? [])
    .flatMap(({ scopeLogs = [] }) => scopeLogs)
    .flatMap(({ logRecords = [] }) => logRecords)
    .map(({ eventName = "", timeUnixNano = "0", observedTimeUnixNano = "0", attributes = [] }) => ({
      eventName,
      timeUnixNano,
      observedTimeUnixNano,
      attributes: Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)])),
    }));
}

function plainValue(value: OtlpJsonValue): unknown {
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(plainValue);
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.doubleValue ?? value.boolValue;
}
