// Times as people read them: local, with date and zone. Records keep RFC 3339 in UTC.

/** `2026-11-21 15:07:26.606 +01:00`, or `... UTC`; undefined if `text`, RFC 3339, is no time. */
export function localTime(text: unknown): string | undefined {
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : localTimeOf(time);
}

/** As `localTime`, of milliseconds since the epoch that a Date can hold. */
export function localTimeOf(ms: number): string {
  const date = new Date(ms);
  const day = `${date.getFullYear()}-${padded(date.getMonth() + 1)}-${padded(date.getDate())}`;
  const clock = `${padded(date.getHours())}:${padded(date.getMinutes())}:${padded(date.getSeconds())}`;
  return `${day} ${clock}.${padded(date.getMilliseconds(), 3)} ${zoneOf(date)}`;
}

/** The offset from UTC, which unlike a zone's short name is never ambiguous. */
function zoneOf(date: Date): string {
  // Date has minutes west of Greenwich.
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${padded(Math.floor(size / 60))}:${padded(size % 60)}`;
}

function padded(value: number, length = 2): string {
  return String(value).padStart(length, "0");
}
