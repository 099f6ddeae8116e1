import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseStat } from "../../src/linux/proc/stat.ts";
import { parseClockShifts } from "../../src/linux/time-namespace.ts";

test("/proc/PID/timens_offsets gives the shift of each clock", () => {
  // Linux 6.18, `unshare --time --boottime 100000 --monotonic -20`.
  expect(parseClockShifts("monotonic         -20         0\nboottime       100000         0\n")).toEqual({
    monotonicNs: -20e9,
    boottimeNs: 100_000e9,
  });
  expect(parseClockShifts("monotonic           0         0\nboottime           1  5000000\n")).toEqual({
    monotonicNs: 0,
    boottimeNs: 1_005_000_000,
  });
});

test("any text gives numbers", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const { monotonicNs, boottimeNs } = parseClockShifts(`boottime ${text}`);
      expect([Number.isNaN(monotonicNs), Number.isNaN(boottimeNs)]).toEqual([false, false]);
    }),
  );
});

test("a start time in /proc is that of the host's clock, whatever the shift", () => {
  const stat = new TextEncoder().encode(`901 (bash) S 812${" 0".repeat(17)} 10006021 0\n`);
  expect(parseStat(stat, stat.length, 10_000_000)).toMatchObject({ startTicks: 6021 });
});
