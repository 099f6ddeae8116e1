// Encodes log records as an ExportLogsServiceRequest, in protobuf or JSON (opentelemetry-proto 1.x,
// collector/logs/v1/logs_service.proto and logs/v1/logs.proto). OpenTelemetry's own serializers (0.301) are not used for
// logs, because they decide by its value whether a number is an integer or a double.
import type { AttributeValue, OtlpLogRecord } from "./otlp-log-records.ts";
import type { OtlpOrigin } from "./otlp-resource.ts";
import type { OtlpProtocol } from "./otlp-settings.ts";
import type { HrTime } from "./otlp-time.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** Log records and who sends them. */
export interface LogBatch {
  readonly origin: OtlpOrigin;
  readonly records: readonly OtlpLogRecord[];
}

export function encodeLogs(batch: LogBatch, protocol: OtlpProtocol): Uint8Array {
  return protocol === "http/json"
    ? encoder.encode(JSON.stringify(jsonRequest(batch)))
    : protobufRequest(batch);
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
function protobufRequest({ origin, records }: LogBatch): Uint8Array {
  const writer = new ProtobufWriter();
  const { resource, schemaUrl, scope } = origin;
  writer.text(fields.resourceLogs.schemaUrl, schemaUrl);
  const endOfScopeLogs = writer.length;
  writer.text(fields.scopeLogs.schemaUrl, schemaUrl);
  for (const record of records.toReversed()) writeLogRecord(writer, record);
  const endOfScope = writer.length;
  writer.text(fields.scope.version, scope.version);
  writer.text(fields.scope.name, scope.name);
  writer.message(fields.scopeLogs.scope, endOfScope);
  writer.message(fields.resourceLogs.scopeLogs, endOfScopeLogs);
  const endOfResource = writer.length;
  for (const [name, value] of Object.entries(resource).toReversed())
    writeAttribute(writer, fields.resource.attributes, name, { kind: "text", value });
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
  for (let i = record.attributes.length - 1; i >= 0; i -= 1) {
    const attribute = record.attributes[i];
    if (attribute !== undefined) writeAttribute(writer, logRecord.attributes, attribute[0], attribute[1]);
  }
  const endOfBody = writer.length;
  writer.text(fields.anyValue.stringValue, record.body);
  writer.message(logRecord.body, endOfBody);
  writer.integer(logRecord.severityNumber, record.severityNumber);
  writer.nanoseconds(logRecord.timeUnixNano, record.time);
  writer.message(fields.scopeLogs.logRecords, end);
}

function writeAttribute(writer: ProtobufWriter, field: number, name: string, value: AttributeValue): void {
  const end = writer.length;
  writeValue(writer, value);
  writer.message(fields.keyValue.value, end);
  writer.text(fields.keyValue.key, name);
  writer.message(field, end);
}

function writeValue(writer: ProtobufWriter, attribute: AttributeValue): void {
  const { anyValue } = fields;
  switch (attribute.kind) {
    case "text":
      writer.text(anyValue.stringValue, attribute.value);
      break;
    case "bool":
      writer.bool(anyValue.boolValue, attribute.value);
      break;
    case "int":
      writer.integer(anyValue.intValue, attribute.value);
      break;
    case "double":
      writer.double(anyValue.doubleValue, attribute.value);
      break;
    case "list": {
      const endOfList = writer.length;
      for (const each of attribute.value.toReversed()) {
        const end = writer.length;
        writeValue(writer, each);
        writer.message(fields.arrayValue.values, end);
      }
      writer.message(anyValue.arrayValue, endOfList);
    }
  }
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
    attributes: record.attributes.map(([key, value]) => ({ key, value: jsonValue(value) })),
    droppedAttributesCount: record.droppedAttributes,
    eventName: record.eventName,
  }));
  return {
    resourceLogs: [{ resource: { attributes }, scopeLogs: [{ scope, logRecords, schemaUrl }], schemaUrl }],
  };
}

function jsonValue(attribute: AttributeValue): unknown {
  switch (attribute.kind) {
    case "text":
      return { stringValue: attribute.value };
    case "bool":
      return { boolValue: attribute.value };
    case "int":
      return { intValue: String(attribute.value) };
    case "double":
      return { doubleValue: attribute.value };
    case "list":
      return { arrayValue: { values: attribute.value.map(jsonValue) } };
  }
}

function nanosecondsText([seconds, nanos]: HrTime): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));
}
