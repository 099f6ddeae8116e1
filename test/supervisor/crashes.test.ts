import { expect, test } from "bun:test";
import { countEarlyCrashes } from "../../src/supervisor/crashes.ts";

test("crashes soon after the start are counted, one after the other", () => {
  expect(countEarlyCrashes(0, "SIGSEGV", 50)).toBe(1);
  expect(countEarlyCrashes(1, "SIGTRAP", 29_999)).toBe(2);
});

test("a crash after half a minute begins a new count", () => {
  expect(countEarlyCrashes(2, "SIGSEGV", 30_000)).toBe(0);
});

test("a kill is no crash, nor is an exit", () => {
  expect(countEarlyCrashes(2, "SIGKILL", 50)).toBe(0);
  expect(countEarlyCrashes(2, "SIGTERM", 50)).toBe(0);
  expect(countEarlyCrashes(2, null, 50)).toBe(0);
});
