import { expect, test } from "bun:test";
import { creationTime, isSameProcess, startsAt } from "../../src/vocabulary/process-key.ts";

const exact = { pid: 300, startTicks: 5000, startExact: true };
const fromAnEvent = { ...exact, startExact: false };

test("a pid with another start time is another process", () => {
  expect(isSameProcess(exact, { ...exact })).toBe(true);
  expect(isSameProcess(exact, { ...exact, startTicks: 5001 })).toBe(false);
  expect(isSameProcess(exact, { ...exact, pid: 301 })).toBe(false);
});

test("a start that comes from an event's time may be two ticks off", () => {
  expect(isSameProcess(fromAnEvent, { ...exact, startTicks: 4998 })).toBe(true);
  expect(isSameProcess(exact, { ...fromAnEvent, startTicks: 5002 })).toBe(true);
  expect(isSameProcess(fromAnEvent, { ...exact, startTicks: 4997 })).toBe(false);
  expect(startsAt(fromAnEvent, 5002)).toBe(true);
});

test("the creation time is the boot's time plus the ticks", () => {
  expect(creationTime(exact, Date.UTC(2000, 0, 1))).toBe("2000-01-01T00:00:50.000000Z");
});

test("a start that is not exactly known has no creation time, rather than a wrong one", () => {
  expect(creationTime(fromAnEvent, 0)).toBeUndefined();
});
