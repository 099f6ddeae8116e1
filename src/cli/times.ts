// Parses times of command-line options: how long ago, or a date and time.
import { durationExamples, parseDuration } from "../vocabulary/duration.ts";
import { shownValue } from "../vocabulary/error-text.ts";
import { CommandError, exitCodes } from "./output.ts";

/** What a time may be, for help texts. */
export const timeHelp = `a duration ago (${durationExamples}), or a time`;
const examples = `${durationExamples} ago, or a time such as 2026-01-31, "2026-01-31 14:05", 14:05, today, yesterday or 2026-01-31T14:05:00Z`;

/** `2026-01-31`, alone or with a time of day, and a zone. Without a zone the time is local. */
const dateAndTime =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s?(Z|UTC|[+-]\d\d:?\d\d)?)?$/i;
const timeOfDay = /^(\d\d?):(\d\d)(?::(\d\d))?$/;
const MINUTE_MS = 60_000;

/**
 * The value `text` of `option`, in milliseconds since the epoch like `now`. Throws a CommandError that describes the valid
 * forms.
 */
export function timeArgument(text: string, option: string, now: number): number {
  const time = parseTime(text.trim(), now);
  if (time !== undefined) return time;
  throw new CommandError(
    exitCodes.usage,
    `${option} must be a duration or a time, not ${shownValue(text)}`,
    `try ${examples}`,
  );
}

/** Milliseconds since the epoch; undefined if `text` is neither a duration nor a time. */
function parseTime(text: string, now: number): number | undefined {
  const seconds = parseDuration(text);
  if (seconds !== undefined) return now - seconds * 1_000;
  const today = new Date(now);
  const [year, month, day] = [today.getFullYear(), today.getMonth(), today.getDate()];
  switch (text.toLowerCase()) {
    case "now":
      return now;
    case "today":
      return new Date(year, month, day).getTime();
    case "yesterday":
      return new Date(year, month, day - 1).getTime();
  }
  const clock = timeOfDay.exec(text);
  if (clock !== null) {
    const [hour, minute, second] = numbers(clock.slice(1));
    return isClock(hour, minute, second)
      ? new Date(year, month, day, hour, minute, second).getTime()
      : undefined;
  }
  return parseDate(text);
}

function parseDate(text: string): number | undefined {
  const match = dateAndTime.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = numbers(match.slice(1, 7));
  const [, , , , , , , fraction = "", zone] = match;
  if (!isDay(year, month, day) || !isClock(hour, minute, second)) return undefined;
  const ms = Number(fraction.padEnd(3, "0").slice(0, 3));
  if (zone === undefined) return new Date(year, month - 1, day, hour, minute, second, ms).getTime();
  return Date.UTC(year, month - 1, day, hour, minute, second, ms) - offsetOf(zone) * MINUTE_MS;
}

/** Minutes east of Greenwich. */
function offsetOf(zone: string): number {
  const match = /^([+-])(\d\d):?(\d\d)$/.exec(zone);
  if (match === null) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return match[1] === "-" ? -minutes : minutes;
}

/** Date would accept 31 February, as a day of March. */
function isDay(year: number, month: number, day: number): boolean {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

function isClock(hour: number, minute: number, second: number): boolean {
  return hour < 24 && minute < 60 && second < 60;
}

function numbers(texts: readonly (string | undefined)[]): [number, number, number, number, number, number] {
  const numberAt = (i: number): number => Number(texts[i] ?? 0);
  return [numberAt(0), numberAt(1), numberAt(2), numberAt(3), numberAt(4), numberAt(5)];
}
