// Makes OTLP's log records of treewarden's records.
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import type { EventRecord, RecordValue } from "../report/event-record.ts";
import { displayText } from "../report/pretty.ts";
import { eventNames, isEventName } from "../vocabulary/event-names.ts";
import { isSeverity, otlpSeverities } from "../vocabulary/severities.ts";
import { OTLP_PREFIX, otlpAttribute } from "../vocabulary/variables.ts";
import type { OtlpOrigin } from "./otlp-resource.ts";
import type { AttributeLimits } from "./otlp-settings.ts";
import { hrTime, hrTimeOf } from "./otlp-time.ts";

/** SeverityNumber (log data model) of records other than verdicts: WARN if events are missing. */
const INFO = 9;
const WARN = 13;

/** Fields of a record for which OTLP's log record has a field of its own. */
const otherFields: ReadonlySet<string> = new Set(["timestamp", "observed_timestamp", "event.name"]);

type Attribute = string | number | boolean | string[] | number[];

/** `nowMs`: milliseconds since the epoch, for a record without times. */
export function otlpLogRecord(
  record: EventRecord,
  origin: OtlpOrigin,
  limits: AttributeLimits,
  nowMs: number,
): ReadableLogRecord {
  const attributes: Record<string, Attribute> = {};
  let count = 0;
  for (const [name, value] of Object.entries(record)) {
    if (value === null || otherFields.has(name)) continue;
    count += 1;
    if (count <= limits.count) attributes[otlpAttribute(name)] = attributeValue(value, limits.length);
  }
  const time = hrTimeOf(record.timestamp) ?? hrTime(nowMs);
  return {
    hrTime: time,
    // Records of earlier versions lack it; they were observed within milliseconds.
    hrTimeObserved: hrTimeOf(record.observed_timestamp) ?? time,
    severityNumber: severityOf(record),
    eventName: OTLP_PREFIX + String(record["event.name"]),
    body: displayText(record),
    resource: origin.resource,
    instrumentationScope: origin.scope,
    attributes,
    droppedAttributesCount: Math.max(0, count - limits.count),
  };
}

function severityOf(record: EventRecord): number {
  const severity = record["policy.severity"];
  if (isSeverity(severity)) return otlpSeverities[severity];
  const name = record["event.name"];
  return isEventName(name) && eventNames[name].warns === true ? WARN : INFO;
}

/** `length`: the most characters of a text. */
function attributeValue(value: Exclude<RecordValue, null>, length: number | null): Attribute {
  if (typeof value === "string") return cutAt(value, length);
  if (typeof value !== "object") return value;
  const texts: string[] = [];
  const numbers: number[] = [];
  for (const element of value) {
    if (typeof element === "string") texts.push(cutAt(element, length));
    else numbers.push(element);
  }
  return texts.length > 0 ? texts : numbers;
}

/** OpenTelemetry counts characters, so no surrogate pair is cut in two. */
function cutAt(text: string, length: number | null): string {
  return length === null || text.length <= length ? text : Array.from(text).slice(0, length).join("");
}
