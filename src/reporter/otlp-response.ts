// What a collector answers to an export (opentelemetry-proto 1.x, collector/{logs,metrics}/v1/*_service.proto): the
// message Export...ServiceResponse in protobuf or JSON, or google.rpc.Status where it refuses. The peer may be
// no collector at all, so bytes that are no such message must not pass for one.

/** The field partial_success of a response. */
export interface PartialSuccess {
  /** Log records or data points that the collector will not take. */
  readonly rejected: number;
  readonly message: string;
}

const nothingRejected: PartialSuccess = { rejected: 0, message: "" };

/** Undefined if the body is no Export...ServiceResponse. An empty body is one in which nothing is set. */
export function readExportResponse(contentType: string, body: Uint8Array): PartialSuccess | undefined {
  if (body.length === 0) return nothingRejected;
  switch (mediaTypeOf(contentType)) {
    case "application/json":
      return fromJson(body);
    case "application/x-protobuf":
      return fromProtobuf(body, true);
    // Some collectors do not name the type. A message that has only unknown fields is then not taken for an answer.
    case "application/protobuf":
    case "application/octet-stream":
    case "":
      return fromProtobuf(body, false);
    default:
      return undefined;
  }
}

/** The message of a google.rpc.Status, or the text itself if the body is plain text; else an empty string. */
export function readStatusMessage(contentType: string, body: Uint8Array): string {
  switch (mediaTypeOf(contentType)) {
    case "application/json":
      return textOf(objectOf(parseJson(body))?.message);
    case "application/x-protobuf":
      return utf8Of(fieldsOf(body)?.texts.get(2) ?? new Uint8Array(0)) ?? "";
    case "text/plain":
      return utf8Of(body) ?? "";
    default:
      return "";
  }
}

function mediaTypeOf(contentType: string): string {
  return (contentType.split(";")[0] ?? "").trim().toLowerCase();
}

function fromJson(body: Uint8Array): PartialSuccess | undefined {
  const response = objectOf(parseJson(body));
  if (response === undefined) return undefined;
  // Unknown fields are allowed, but an object of nothing else is the answer of something else.
  if (!("partialSuccess" in response))
    return Object.keys(response).length === 0 ? nothingRejected : undefined;
  if (response.partialSuccess === null) return nothingRejected;
  const partial = objectOf(response.partialSuccess);
  if (partial === undefined) return undefined;
  const rejected = countOf(partial.rejectedLogRecords ?? partial.rejectedDataPoints ?? 0);
  return rejected === undefined ? undefined : { rejected, message: textOf(partial.errorMessage) };
}

function fromProtobuf(body: Uint8Array, allowsUnknown: boolean): PartialSuccess | undefined {
  const response = fieldsOf(body);
  if (response === undefined) return undefined;
  const bytes = response.texts.get(1);
  if (bytes === undefined) return allowsUnknown ? nothingRejected : undefined;
  const partial = fieldsOf(bytes);
  const message = utf8Of(partial?.texts.get(2) ?? new Uint8Array(0));
  if (partial === undefined || message === undefined) return undefined;
  const rejected = partial.numbers.get(1) ?? 0n;
  return rejected > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : { rejected: Number(rejected), message };
}

/** int64 is a string in OTLP's JSON; numbers are accepted too. */
function countOf(value: unknown): number | undefined {
  const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(utf8Of(body) ?? "");
  } catch {
    return undefined;
  }
}

/** Undefined if the bytes are not UTF-8. */
function utf8Of(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The fields of a protobuf message, by their numbers; of a repeated field the last one. Fixed-width fields are skipped. */
interface Fields {
  readonly numbers: ReadonlyMap<number, bigint>;
  readonly texts: ReadonlyMap<number, Uint8Array>;
}

/** Undefined if the bytes are no protobuf message. */
function fieldsOf(bytes: Uint8Array): Fields | undefined {
  const numbers = new Map<number, bigint>();
  const texts = new Map<number, Uint8Array>();
  let at = 0;
  const varint = (): bigint | undefined => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined) return undefined;
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === undefined || tag >> 3n === 0n || tag > 0xffff_ffffn) return undefined;
    const field = Number(tag >> 3n);
    // Wire types of protobuf's encoding: 0 varint, 1 eight bytes, 2 with its length, 5 four bytes; 3 and 4 are groups,
    // which no message of OTLP has.
    const wireType = Number(tag & 7n);
    if (wireType === 0) {
      const value = varint();
      if (value === undefined) return undefined;
      numbers.set(field, value);
      continue;
    }
    const length = wireType === 1 ? 8n : wireType === 5 ? 4n : wireType === 2 ? varint() : undefined;
    if (length === undefined || length > BigInt(bytes.length - at)) return undefined;
    const end = at + Number(length);
    if (wireType === 2) texts.set(field, bytes.subarray(at, end));
    at = end;
  }
  return { numbers, texts };
}
