// Durations as users write and read them: a number and its unit.

/** Nanoseconds in a second, for clocks. */
export const SECOND_NS = 1e9;

const secondsIn = { ms: 0.001, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const;

/** Example durations for error messages. */
export const durationExamples = "90s, 30m, 24h, 7d or 2w";

/** Seconds in a duration such as `500ms`, `90s`, `30m`, `24h`, `7d` or `2w`; undefined if `text` is not a duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|[smhdw])$/.exec(text);
  const unit = match?.[2];
  for (const [name, seconds] of Object.entries(secondsIn))
    if (name === unit) return Number(match?.[1]) * seconds;
  return undefined;
}

/** Formats seconds in the largest unit of which there are at least two: `90 s`, `24 h`, `3 d`. */
export function durationText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
