// Times as OpenTelemetry's API has them: seconds since the epoch and nanoseconds.
import type { RecordValue } from "../report/event-record.ts";

/** HrTime of @opentelemetry/api. */
export type HrTime = [seconds: number, nanoseconds: number];

/** `ms`: milliseconds since the epoch. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** A record's timestamp with its microseconds, which Date drops; undefined if it is none. */
export function hrTimeOf(timestamp: RecordValue | undefined): HrTime | undefined {
  const match = /^(.{19})\.(\d{6})Z$/.exec(String(timestamp));
  const seconds = match === null ? Number.NaN : Date.parse(`${match[1]}Z`) / 1000;
  return Number.isNaN(seconds) ? undefined : [seconds, Number(match?.[2]) * 1000];
}
