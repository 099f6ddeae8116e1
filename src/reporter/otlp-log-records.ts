// Makes OTLP's log records of treewarden's records. The type of an attribute follows from the table of variables and
// never from the value: stores with typed columns refuse a column that is a double here and an integer there.
import { type EventRecord, isTexts, type RecordValue } from "../report/event-record.ts";
import { displayText } from "../report/pretty.ts";
import { eventNames, isEventName } from "../vocabulary/event-names.ts";
import { isSeverity, otlpSeverities } from "../vocabulary/severities.ts";
import { OTLP_PREFIX, otlpAttribute, typeOfName } from "../vocabulary/variables.ts";
import type { AttributeLimits } from "./otlp-settings.ts";
import { type HrTime, hrTime, hrTimeOf } from "./otlp-time.ts";

/** An AnyValue of OTLP (opentelemetry/proto/common/v1/common.proto), as far as records need it. */
export type AttributeValue =
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "double"; readonly value: number }
  | { readonly kind: "list"; readonly value: readonly AttributeValue[] };

export interface OtlpLogRecord {
  readonly time: HrTime;
  readonly observedTime: HrTime;
  readonly severityNumber: number;
  readonly eventName: string;
  /** A sentence to display. */
  readonly body: string;
  readonly attributes: readonly (readonly [name: string, value: AttributeValue])[];
  readonly droppedAttributes: number;
}

/** SeverityNumber (log data model) of records other than verdicts: WARN if events are missing. */
const INFO = 9;
const WARN = 13;

/** Fields of a record for which OTLP's log record has a field of its own. */
const otherFields: ReadonlySet<string> = new Set(["timestamp", "observed_timestamp", "event.name"]);

/** `nowMs`: milliseconds since the epoch, for a record without times. */
export function otlpLogRecord(record: EventRecord, limits: AttributeLimits, nowMs: number): OtlpLogRecord {
  const attributes: [string, AttributeValue][] = [];
  let dropped = 0;
  for (const [name, value] of Object.entries(record)) {
    if (value === null || otherFields.has(name)) continue;
    if (attributes.length >= limits.count) dropped += 1;
    else attributes.push([otlpAttribute(name), attributeValue(name, value, limits.length)]);
  }
  const time = hrTimeOf(record.timestamp) ?? hrTime(nowMs);
  return {
    time,
    // Records of earlier versions lack it; they were observed within milliseconds.
    observedTime: hrTimeOf(record.observed_timestamp) ?? time,
    severityNumber: severityOf(record),
    eventName: OTLP_PREFIX + String(record["event.name"]),
    body: displayText(record),
    attributes,
    droppedAttributes: dropped,
  };
}

function severityOf(record: EventRecord): number {
  const severity = record["policy.severity"];
  if (isSeverity(severity)) return otlpSeverities[severity];
  const name = record["event.name"];
  return isEventName(name) && eventNames[name].warns === true ? WARN : INFO;
}

/** `length`: the most characters of a text. */
function attributeValue(
  name: string,
  value: Exclude<RecordValue, null>,
  length: number | null,
): AttributeValue {
  switch (typeof value) {
    case "string":
      return textValue(value, length);
    case "boolean":
      return { kind: "bool", value };
    case "number":
      return numberValue(value, isDouble(name));
    default: {
      if (isTexts(value)) return { kind: "list", value: value.map((each) => textValue(each, length)) };
      const numbers = value.filter((each) => typeof each === "number");
      return { kind: "list", value: numbers.map((each) => numberValue(each, isDouble(name))) };
    }
  }
}

function textValue(text: string, length: number | null): AttributeValue {
  return { kind: "text", value: cutAt(text, length) };
}

/** A name that the table lacks comes from a record of another version. */
function isDouble(name: string): boolean {
  return typeOfName(name) === "number";
}

function numberValue(value: number, isDoubleType: boolean): AttributeValue {
  return { kind: isDoubleType || !Number.isSafeInteger(value) ? "double" : "int", value };
}

/** OpenTelemetry counts characters, so no surrogate pair is cut in two. */
function cutAt(text: string, length: number | null): string {
  return length === null || text.length <= length ? text : Array.from(text).slice(0, length).join("");
}
