// Encodes logs and metrics, sends them to a collector, and says what became of each batch. OpenTelemetry's own transport
// is not used, because it hides the answer's body and waits for Retry-After only within one export.
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import type { ResourceMetrics } from "@opentelemetry/sdk-metrics";
import { version } from "../report/version.ts";
import { HttpPost } from "./http-post.ts";
import { deliveryOf } from "./otlp-answer.ts";
import { failureText } from "./otlp-failure.ts";
import { type LogBatch, logEncoder } from "./otlp-log-request.ts";
import type { OtlpProtocol, SignalSettings } from "./otlp-settings.ts";
import type { Delivery } from "./output.ts";

/** Sends one signal. */
export interface OtlpSender<T> {
  /** Never rejects, and resolves in bounded time. */
  readonly send: (batch: T) => Promise<Delivery>;
}

const contentTypes: Readonly<Record<OtlpProtocol, string>> = {
  "http/protobuf": "application/x-protobuf",
  "http/json": "application/json",
};

export function logSender(settings: SignalSettings): OtlpSender<LogBatch> {
  return sender(settings, logEncoder(settings.protocol), ({ records }) => records.length);
}

export function metricSender(settings: SignalSettings): OtlpSender<ResourceMetrics> {
  const serializer = settings.protocol === "http/json" ? JsonMetricsSerializer : ProtobufMetricsSerializer;
  const encode = (batch: ResourceMetrics) => {
    const bytes = serializer.serializeRequest(batch);
    return bytes && new Uint8Array(bytes);
  };
  return sender(settings, encode, pointsIn);
}

/**
 * `encode`: its bytes are valid until it is called again. `sizeOf`: the number of records or points in a batch.
 */
function sender<T>(
  settings: SignalSettings,
  encode: (batch: T) => Uint8Array<ArrayBuffer> | undefined,
  sizeOf: (batch: T) => number,
): OtlpSender<T> {
  const { protocol, compression } = settings;
  const connection = new HttpPost(settings);
  const headers = {
    "content-type": contentTypes[protocol],
    "user-agent": `treewarden/${version}`,
    ...(compression === "gzip" ? { "content-encoding": "gzip" } : {}),
  };
  return {
    async send(batch) {
      const encoded = encode(batch);
      if (encoded === undefined) return { outcome: "failed", why: "the batch could not be encoded" };
      // A request that was given up may still hold its body when the next batch is encoded.
      const body = compression === "gzip" ? compress(encoded) : encoded.slice();
      const result = await connection.post(body, headers);
      const delivery: Delivery =
        "answer" in result
          ? deliveryOf(result.answer, sizeOf(batch), Date.now())
          : { outcome: "failed", why: result.error };
      return delivery.outcome === "delivered"
        ? delivery
        : { ...delivery, why: failureText(settings.url, delivery.why) };
    },
  };
}

function pointsIn({ scopeMetrics }: ResourceMetrics): number {
  let points = 0;
  for (const { metrics } of scopeMetrics) for (const { dataPoints } of metrics) points += dataPoints.length;
  return points;
}

/** Log records repeat so much that level 1 leaves 4 % of them, where level 6 leaves 3 % in twice the time. */
function compress(bytes: Uint8Array<ArrayBuffer>): Uint8Array {
  return Bun.gzipSync(bytes, { library: "libdeflate", level: 1 });
}
