// Reads OTLP's protobuf, by the field numbers of opentelemetry-proto, as a collector would.

type Fields = Map<number, (number | bigint | Uint8Array)[]>;

function decode(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined) throw new Error("ends within a varint");
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    let value: number | bigint | Uint8Array;
    switch (tag & 7) {
      case 0:
        value = varint();
        break;
      case 1:
        value = view.getBigUint64(at, true);
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        value = bytes.subarray(at, at + length);
        at += length;
        break;
      }
      case 5:
        value = view.getUint32(at, true);
        at += 4;
        break;
      default:
        throw new Error(`wire type ${tag & 7}`);
    }
    const list = fields.get(tag >> 3);
    if (list === undefined) fields.set(tag >> 3, [value]);
    else list.push(value);
  }
  return fields;
}

function messages(fields: Fields, number: number): Fields[] {
  return (fields.get(number) ?? []).filter((value) => value instanceof Uint8Array).map(decode);
}

function text(fields: Fields, number: number): string {
  const value = fields.get(number)?.[0];
  return value instanceof Uint8Array ? new TextDecoder("utf-8", { fatal: true }).decode(value) : "";
}

function integer(fields: Fields, number: number): number {
  const value = fields.get(number)?.[0];
  return value instanceof Uint8Array ? Number.NaN : Number(value ?? 0);
}

function double(fields: Fields, number: number): number {
  const value = fields.get(number)?.[0];
  if (typeof value !== "bigint") return Number.NaN;
  return new Float64Array(BigUint64Array.of(value).buffer)[0] ?? Number.NaN;
}

function packedFixed64(fields: Fields, number: number): bigint[] {
  return (fields.get(number) ?? []).flatMap((value) => {
    if (!(value instanceof Uint8Array)) return typeof value === "bigint" ? [value] : [];
    return [...new BigUint64Array(Uint8Array.from(value).buffer)];
  });
}

export type Value = string | number | boolean | { readonly double: number } | Value[] | null;

function anyValue(fields: Fields): Value {
  if (fields.has(1)) return text(fields, 1);
  if (fields.has(2)) return integer(fields, 2) === 1;
  if (fields.has(3)) return integer(fields, 3);
  // Tells a double from an integer in what tests compare.
  if (fields.has(4)) return { double: double(fields, 4) };
  const [array] = messages(fields, 5);
  return array === undefined ? null : messages(array, 1).map(anyValue);
}

function attributes(fields: Fields, number: number): Record<string, Value> {
  return Object.fromEntries(
    messages(fields, number).map((pair) => [text(pair, 1), anyValue(messages(pair, 2)[0] ?? new Map())]),
  );
}

export interface Log {
  readonly eventName: string;
  readonly severity: number;
  readonly timeUnixNano: bigint;
  readonly observedTimeUnixNano: bigint;
  readonly body: Value;
  readonly droppedAttributes: number;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly resource: Readonly<Record<string, Value>>;
}

/** ExportLogsServiceRequest */
export function decodeLogs(bytes: Uint8Array): Log[] {
  return messages(decode(bytes), 1).flatMap((resourceLogs) => {
    const resource = attributes(messages(resourceLogs, 1)[0] ?? new Map(), 1);
    return messages(resourceLogs, 2).flatMap((scope) =>
      messages(scope, 2).map((log) => {
        const [[time] = [], [observed] = []] = [log.get(1), log.get(11)];
        return {
          eventName: text(log, 12),
          severity: integer(log, 2),
          timeUnixNano: typeof time === "bigint" ? time : 0n,
          observedTimeUnixNano: typeof observed === "bigint" ? observed : 0n,
          body: anyValue(messages(log, 5)[0] ?? new Map()),
          droppedAttributes: integer(log, 7),
          attributes: attributes(log, 6),
          resource,
        };
      }),
    );
  });
}

export interface Point {
  readonly metric: string;
  readonly unit: string;
  readonly kind: "gauge" | "sum" | "histogram";
  /** 2 is cumulative. */
  readonly temporality: number;
  readonly monotonic: boolean;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly start: bigint;
  readonly value: number;
  readonly sum: number;
  readonly counts: readonly number[];
  readonly bounds: number;
}

/** ExportMetricsServiceRequest */
export function decodeMetrics(bytes: Uint8Array): Point[] {
  const metrics = messages(decode(bytes), 1).flatMap((each) =>
    messages(each, 2).flatMap((scope) => messages(scope, 2)),
  );
  return metrics.flatMap((metric) => {
    const kinds = { gauge: 5, sum: 7, histogram: 9 } as const;
    const kind = metric.has(5) ? "gauge" : metric.has(7) ? "sum" : "histogram";
    const [data] = messages(metric, kinds[kind]);
    if (data === undefined) return [];
    const isHistogram = kind === "histogram";
    return messages(data, 1).map((point) => {
      const start = point.get(2)?.[0];
      return {
        metric: text(metric, 1),
        unit: text(metric, 3),
        kind,
        temporality: integer(data, 2),
        monotonic: integer(data, 3) === 1,
        attributes: attributes(point, isHistogram ? 9 : 7),
        start: typeof start === "bigint" ? start : 0n,
        value: isHistogram
          ? integer(point, 4)
          : point.has(6)
            ? Number(packedFixed64(point, 6)[0])
            : double(point, 4),
        sum: double(point, 5),
        counts: isHistogram ? packedFixed64(point, 6).map(Number) : [],
        bounds: isHistogram ? packedFixed64(point, 7).length : 0,
      };
    });
  });
}
