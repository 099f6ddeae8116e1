// Encodes log records as an ExportLogsServiceRequest, in protobuf or JSON (opentelemetry-proto 1.x,
// collector/logs/v1/logs_service.proto and logs/v1/logs.proto). OpenTelemetry's own serializers (0.301) are not used for
// logs, because they decide by its value whether a number is an integer or a double.
import type { AttributeName, AttributeValue, OtlpLogRecord } from "./otlp-log-records.ts";
import type { OtlpOrigin } from "./otlp-resource.ts";
import type { OtlpProtocol } from "./otlp-settings.ts";
import type { HrTime } from "./otlp-time.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** Log records and who sends them. */
export interface LogBatch {
  readonly origin: OtlpOrigin;
  readonly records: readonly OtlpLogRecord[];
}

/** Creates an encoder. The bytes that it returns are valid until it is called again. */
export function logEncoder(protocol: OtlpProtocol): (batch: LogBatch) => Uint8Array<ArrayBuffer> {
  if (protocol === "http/json") return (batch) => encoder.encode(JSON.stringify(jsonRequest(batch)));
  // Its memory is used again: to allocate a megabyte for each request costs more than to fill it.
  const writer = new ProtobufWriter();
  return (batch) => {
    writer.clear();
    return protobufRequest(writer, batch);
  };
}

const encoder = new TextEncoder();

/** The numbers of the fields. */
const fields = {
  request: { resourceLogs: 1 },
  resourceLogs: { resource: 1, scopeLogs: 2, schemaUrl: 3 },
  resource: { attributes: 1 },
  scopeLogs: { scope: 1, logRecords: 2, schemaUrl: 3 },
  scope: { name: 1, version: 2 },
  logRecord: {
    timeUnixNano: 1,
    severityNumber: 2,
    body: 5,
    attributes: 6,
    droppedAttributesCount: 7,
    observedTimeUnixNano: 11,
    eventName: 12,
  },
  keyValue: { key: 1, value: 2 },
  anyValue: { stringValue: 1, boolValue: 2, intValue: 3, doubleValue: 4, arrayValue: 5 },
  arrayValue: { values: 1 },
} as const;

/** The writer writes the last field first. */
function protobufRequest(writer: ProtobufWriter, { origin, records }: LogBatch): Uint8Array<ArrayBuffer> {
  const { resource, schemaUrl, scope } = origin;
  writer.text(fields.resourceLogs.schemaUrl, schemaUrl);
  const endOfScopeLogs = writer.length;
  writer.text(fields.scopeLogs.schemaUrl, schemaUrl);
  for (let i = records.length - 1; i >= 0; i -= 1) {
    const record = records[i];
    if (record !== undefined) writeLogRecord(writer, record);
  }
  const endOfScope = writer.length;
  writer.text(fields.scope.version, scope.version);
  writer.text(fields.scope.name, scope.name);
  writer.message(fields.scopeLogs.scope, endOfScope);
  writer.message(fields.resourceLogs.scopeLogs, endOfScopeLogs);
  const endOfResource = writer.length;
  for (const [name, value] of Object.entries(resource).toReversed())
    writeResourceAttribute(writer, name, value);
  writer.message(fields.resourceLogs.resource, endOfResource);
  writer.message(fields.request.resourceLogs, 0);
  return writer.written;
}

function writeLogRecord(writer: ProtobufWriter, record: OtlpLogRecord): void {
  const { logRecord } = fields;
  const end = writer.length;
  writer.text(logRecord.eventName, record.eventName);
  writer.nanoseconds(logRecord.observedTimeUnixNano, record.observedTime);
  if (record.droppedAttributes > 0)
    writer.integer(logRecord.droppedAttributesCount, record.droppedAttributes);
  const { names, values } = record;
  for (let i = names.length - 1; i >= 0; i -= 1) {
    const name = names[i];
    const value = values[i];
    if (name !== undefined && value !== undefined) writeAttribute(writer, name, value);
  }
  const endOfBody = writer.length;
  writer.text(fields.anyValue.stringValue, record.body);
  writer.message(logRecord.body, endOfBody);
  writer.integer(logRecord.severityNumber, record.severityNumber);
  writer.nanoseconds(logRecord.timeUnixNano, record.time);
  writer.message(fields.scopeLogs.logRecords, end);
}

function writeResourceAttribute(writer: ProtobufWriter, name: string, value: string): void {
  const end = writer.length;
  writer.text(fields.anyValue.stringValue, value);
  writer.message(fields.keyValue.value, end);
  writer.text(fields.keyValue.key, name);
  writer.message(fields.resource.attributes, end);
}

/** The attribute as it was encoded for the record before, if it has the same value. */
function writeAttribute(writer: ProtobufWriter, name: AttributeName, value: AttributeValue): void {
  const { last } = name;
  if (!isSameValue(last.value, value)) {
    last.value = value;
    last.encoded = undefined;
    writeNewAttribute(writer, name, value);
  } else if (last.encoded !== undefined) writer.encoded(last.encoded);
  else {
    const end = writer.length;
    writeNewAttribute(writer, name, value);
    last.encoded = writer.writtenSince(end);
  }
}

function isSameValue(last: AttributeValue | undefined, value: AttributeValue): boolean {
  if (typeof last !== "object" || typeof value !== "object") return Object.is(last, value);
  if (last.length !== value.length) return false;
  for (let i = 0; i < value.length; i += 1) if (!Object.is(last[i], value[i])) return false;
  return true;
}

function writeNewAttribute(
  writer: ProtobufWriter,
  { bytes, isDouble }: AttributeName,
  value: AttributeValue,
): void {
  const end = writer.length;
  if (typeof value === "object") writeList(writer, isDouble, value);
  else writeScalar(writer, isDouble, value);
  writer.message(fields.keyValue.value, end);
  writer.utf8(fields.keyValue.key, bytes);
  writer.message(fields.logRecord.attributes, end);
}

function writeList(
  writer: ProtobufWriter,
  isDouble: boolean,
  list: readonly string[] | readonly number[],
): void {
  const endOfList = writer.length;
  for (let i = list.length - 1; i >= 0; i -= 1) {
    const end = writer.length;
    writeScalar(writer, isDouble, list[i] ?? "");
    writer.message(fields.arrayValue.values, end);
  }
  writer.message(fields.anyValue.arrayValue, endOfList);
}

function writeScalar(writer: ProtobufWriter, isDouble: boolean, value: string | number | boolean): void {
  const { anyValue } = fields;
  if (typeof value === "string") writer.text(anyValue.stringValue, value);
  else if (typeof value === "boolean") writer.bool(anyValue.boolValue, value);
  else if (isInteger(value, isDouble)) writer.integer(anyValue.intValue, value);
  else writer.double(anyValue.doubleValue, value);
}

function isInteger(value: number, isDouble: boolean): boolean {
  return !isDouble && Number.isSafeInteger(value);
}

/** OTLP's JSON: names in lowerCamelCase, numbers of 64 bits as texts. */
function jsonRequest({ origin, records }: LogBatch): unknown {
  const { resource, schemaUrl, scope } = origin;
  const attributes = Object.entries(resource).map(([key, stringValue]) => ({ key, value: { stringValue } }));
  const logRecords = records.map((record) => ({
    timeUnixNano: nanosecondsText(record.time),
    observedTimeUnixNano: nanosecondsText(record.observedTime),
    severityNumber: record.severityNumber,
    body: { stringValue: record.body },
    attributes: record.names.map(({ text, isDouble }, i) => ({
      key: text,
      value: jsonValue(isDouble, record.values[i] ?? ""),
    })),
    droppedAttributesCount: record.droppedAttributes,
    eventName: record.eventName,
  }));
  return {
    resourceLogs: [{ resource: { attributes }, scopeLogs: [{ scope, logRecords, schemaUrl }], schemaUrl }],
  };
}

function jsonValue(isDouble: boolean, value: AttributeValue): unknown {
  if (typeof value === "object")
    return { arrayValue: { values: value.map((each) => jsonValue(isDouble, each)) } };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return isInteger(value, isDouble) ? { intValue: String(value) } : { doubleValue: value };
}

function nanosecondsText([seconds, nanos]: HrTime): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));
}
