// Makes OTLP's log records of treewarden's records. The type of an attribute follows from the table of variables and
// never from the value: stores with typed columns refuse a column that is a double here and an integer there.
import { type EventRecord, isTexts, type RecordValue } from "../report/event-record.ts";
import { displayText } from "../report/pretty.ts";
import { eventNames, isEventName } from "../vocabulary/event-names.ts";
import { isSeverity, otlpSeverities } from "../vocabulary/severities.ts";
import { OTLP_PREFIX, otlpAttribute, typeOfName } from "../vocabulary/variables.ts";
import type { AttributeLimits } from "./otlp-settings.ts";
import { type HrTime, hrTime, hrTimeOf } from "./otlp-time.ts";

/** What follows from the name of a record's field. */
export interface AttributeName {
  readonly text: string;
  /** The same in UTF-8. */
  readonly bytes: Uint8Array;
  /** Whether its numbers are doubles. */
  readonly isDouble: boolean;
  /** What the encoder remembers of the attribute. */
  readonly last: LastAttribute;
}

/** An attribute as it was encoded last: most attributes of a record are those of the record before it. */
export interface LastAttribute {
  value: AttributeValue | undefined;
  /** In protobuf; undefined until the same value comes a second time. */
  encoded: Uint8Array | undefined;
}

export type AttributeValue = Exclude<RecordValue, null>;

export interface OtlpLogRecord {
  readonly time: HrTime;
  readonly observedTime: HrTime;
  readonly severityNumber: number;
  readonly eventName: string;
  /** A sentence to display. */
  readonly body: string;
  /** The attributes: names, and their values in the same order. */
  readonly names: readonly AttributeName[];
  readonly values: readonly AttributeValue[];
  readonly droppedAttributes: number;
}

/** SeverityNumber (log data model) of records other than verdicts: WARN if events are missing. */
const INFO = 9;
const WARN = 13;

/** Fields of a record for which OTLP's log record has a field of its own. */
const otherFields: ReadonlySet<string> = new Set(["timestamp", "observed_timestamp", "event.name"]);

/** `nowMs`: milliseconds since the epoch, for a record without times. */
export function otlpLogRecord(record: EventRecord, limits: AttributeLimits, nowMs: number): OtlpLogRecord {
  const names: AttributeName[] = [];
  const values: AttributeValue[] = [];
  let dropped = 0;
  // A record of another version may have names that are not in the table of variables.
  const all: Readonly<Record<string, RecordValue | undefined>> = record;
  for (const field in all) {
    const value = all[field];
    if (value === null || value === undefined || otherFields.has(field)) continue;
    if (names.length >= limits.count) {
      dropped += 1;
      continue;
    }
    names.push(attributeName(field));
    values.push(limits.length === null ? value : cutValue(value, limits.length));
  }
  const time = hrTimeOf(record.timestamp) ?? hrTime(nowMs);
  return {
    time,
    // Records of earlier versions lack it; they were observed within milliseconds.
    observedTime: hrTimeOf(record.observed_timestamp) ?? time,
    severityNumber: severityOf(record),
    eventName: OTLP_PREFIX + String(record["event.name"]),
    body: displayText(record),
    names,
    values,
    droppedAttributes: dropped,
  };
}

function severityOf(record: EventRecord): number {
  const severity = record["policy.severity"];
  if (isSeverity(severity)) return otlpSeverities[severity];
  const name = record["event.name"];
  return isEventName(name) && eventNames[name].warns === true ? WARN : INFO;
}

/** The most names that are remembered: more than the table has. */
const REMEMBERED_NAMES = 1_024;
const encoder = new TextEncoder();
/** By field. Invalidated by: nothing, a field always has the same name. */
const attributeNames = new Map<string, AttributeName>();

function attributeName(field: string): AttributeName {
  const known = attributeNames.get(field);
  if (known !== undefined) return known;
  const text = otlpAttribute(field);
  const name = {
    text,
    bytes: encoder.encode(text),
    isDouble: typeOfName(field) === "number",
    last: { value: undefined, encoded: undefined },
  };
  if (attributeNames.size >= REMEMBERED_NAMES) attributeNames.clear();
  attributeNames.set(field, name);
  return name;
}

/** `length`: the most characters of a text. */
function cutValue(value: AttributeValue, length: number): AttributeValue {
  if (typeof value === "string") return cutAt(value, length);
  return typeof value === "object" && isTexts(value) ? value.map((text) => cutAt(text, length)) : value;
}

/** OpenTelemetry counts characters, so no surrogate pair is cut in two. */
function cutAt(text: string, length: number): string {
  return text.length <= length ? text : Array.from(text).slice(0, length).join("");
}
