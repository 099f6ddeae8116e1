// Times as OpenTelemetry's API has them: seconds since the epoch and nanoseconds.
import type { RecordValue } from "../report/event-record.ts";

/** HrTime of @opentelemetry/api. */
export type HrTime = [seconds: number, nanoseconds: number];

/** `ms`: milliseconds since the epoch. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** A timestamp up to its seconds, and behind them. */
const SECONDS_LENGTH = 19;
const microseconds = /^\.\d{6}Z$/;

// Invalidated by: another second. Most records of a batch are of the same one.
let lastText = "";
let lastSeconds = Number.NaN;

/** A record's timestamp with its microseconds, which Date drops; undefined if it is none. */
export function hrTimeOf(timestamp: RecordValue | undefined): HrTime | undefined {
  if (typeof timestamp !== "string") return undefined;
  const text = timestamp.slice(0, SECONDS_LENGTH);
  const fraction = timestamp.slice(SECONDS_LENGTH);
  if (!microseconds.test(fraction)) return undefined;
  if (text !== lastText) {
    lastText = text;
    lastSeconds = Date.parse(`${text}Z`) / 1000;
  }
  return Number.isNaN(lastSeconds) ? undefined : [lastSeconds, Number(fraction.slice(1, -1)) * 1000];
}
