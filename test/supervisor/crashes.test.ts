import { expect, test } from "bun:test";
import { countEarlyCrashes } from "../../src/supervisor/crashes.ts";

test("consecutive early crashes are counted", () => {
  expect(countEarlyCrashes(0, "SIGSEGV", 50)).toBe(1);
  expect(countEarlyCrashes(1, "SIGTRAP", 29_999)).toBe(2);
});

test("a crash after half a minute resets the count", () => {
  expect(countEarlyCrashes(2, "SIGSEGV", 30_000)).toBe(0);
});

test("neither SIGKILL nor an exit counts as a crash", () => {
  expect(countEarlyCrashes(2, "SIGKILL", 50)).toBe(0);
  expect(countEarlyCrashes(2, "SIGTERM", 50)).toBe(0);
  expect(countEarlyCrashes(2, null, 50)).toBe(0);
});
