// Makes OTLP's log records of treewarden's records.
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import type { EventRecord, RecordValue } from "../report/event-record.ts";
import { eventNames, isEventName } from "../vocabulary/event-names.ts";
import { isSeverity, otlpSeverities } from "../vocabulary/severities.ts";
import { OTLP_PREFIX, otlpAttribute } from "../vocabulary/variables.ts";
import type { OtlpOrigin } from "./otlp-resource.ts";
import { hrTime, hrTimeOf } from "./otlp-time.ts";

/** SeverityNumber (log data model) of records other than verdicts: WARN if events are missing. */
const INFO = 9;
const WARN = 13;

/** `nowMs`: milliseconds since the epoch. */
export function otlpLogRecord(record: EventRecord, origin: OtlpOrigin, nowMs: number): ReadableLogRecord {
  const attributes: Record<string, string | number | boolean | string[] | number[]> = {};
  for (const [name, value] of Object.entries(record)) {
    if (name === "timestamp" || name === "event.name" || value === null) continue;
    attributes[otlpAttribute(name)] = plain(value);
  }
  return {
    hrTime: hrTimeOf(record.timestamp) ?? hrTime(nowMs),
    hrTimeObserved: hrTime(nowMs),
    severityNumber: severityOf(record),
    eventName: OTLP_PREFIX + String(record["event.name"]),
    resource: origin.resource,
    instrumentationScope: origin.scope,
    attributes,
    droppedAttributesCount: 0,
  };
}

function severityOf(record: EventRecord): number {
  const severity = record["policy.severity"];
  if (isSeverity(severity)) return otlpSeverities[severity];
  const name = record["event.name"];
  return isEventName(name) && eventNames[name].warns === true ? WARN : INFO;
}

function plain(value: Exclude<RecordValue, null>): string | number | boolean | string[] | number[] {
  if (typeof value !== "object") return value;
  const texts: string[] = [];
  const numbers: number[] = [];
  for (const element of value) {
    if (typeof element === "string") texts.push(element);
    else numbers.push(element);
  }
  return texts.length > 0 ? texts : numbers;
}
