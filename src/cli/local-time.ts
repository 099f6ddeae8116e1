// Times for people: local, with date and zone.

/** `seconds` since 1970-01-01T00:00:00Z as `2026-01-31 12:00:00 CET`. */
export function localTime(seconds: number): string {
  const time = new Date(seconds * 1_000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" })
    .formatToParts(time)
    .find(({ type }) => type === "timeZoneName")?.value;
  return `${date} ${clock} ${zone ?? ""}`.trimEnd();
}
