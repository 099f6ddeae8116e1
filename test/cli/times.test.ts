import { expect, test } from "bun:test";
import { CommandError } from "../../src/cli/output.ts";
import { timeArgument } from "../../src/cli/times.ts";

const now = new Date(2026, 10, 21, 15, 7, 26).getTime();

function at(text: string): number {
  return timeArgument(text, "--since", now);
}

test("a duration is that long ago", () => {
  expect(at("90s")).toBe(now - 90_000);
  expect(at("2w")).toBe(now - 1_209_600_000);
});

test("a time with a zone is RFC 3339, with or without T and seconds", () => {
  const noon = Date.UTC(2026, 0, 31, 12);
  for (const text of [
    "2026-01-31T12:00:00Z",
    "2026-01-31t12:00:00.000z",
    "2026-01-31 12:00Z",
    "2026-01-31 12:00:00 UTC",
    "2026-01-31T13:00:00+01:00",
    "2026-01-31T05:30:00-0630",
  ])
    expect(at(text)).toBe(noon);
  expect(at("2026-01-31T12:00:00.250123Z")).toBe(noon + 250);
});

test("what `events` prints can be given back", () => {
  expect(at("2026-01-31 13:00:00.250 +01:00")).toBe(Date.UTC(2026, 0, 31, 12, 0, 0, 250));
});

test("without a zone the time is local, as all times that are printed", () => {
  expect(at("2026-01-31")).toBe(new Date(2026, 0, 31).getTime());
  expect(at("2026-01-31 14:05")).toBe(new Date(2026, 0, 31, 14, 5).getTime());
  expect(at("14:05")).toBe(new Date(2026, 10, 21, 14, 5).getTime());
  expect(at("9:05:30")).toBe(new Date(2026, 10, 21, 9, 5, 30).getTime());
  expect(at("today")).toBe(new Date(2026, 10, 21).getTime());
  expect(at("yesterday")).toBe(new Date(2026, 10, 20).getTime());
  expect(at("now")).toBe(now);
});

test("anything else is refused with what it must be", () => {
  for (const text of [
    "",
    "1",
    "1 hour",
    "h",
    "-1h",
    "99999999999h",
    "yesterdayish",
    "2026-02-30",
    "2026-13-01",
    "2026-01-31 24:00",
    "25:00",
    "31.01.2026",
  ])
    expect(() => at(text)).toThrow(CommandError);
  expect(() => at("soon")).toThrow('--since must be a duration or a time, not "soon"');
});
