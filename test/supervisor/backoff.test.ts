import { expect, test } from "bun:test";
import { restartDelay } from "../../src/supervisor/backoff.ts";

test("what dies for the first time is started at once", () => {
  expect(restartDelay(undefined, 0)).toBe(0);
});

test("what dies again and again waits longer each time, but never longer than half a second", () => {
  const waits: number[] = [];
  let last: number | undefined;
  for (let i = 0; i < 8; i += 1) {
    last = restartDelay(last, 10);
    waits.push(last);
  }
  expect(waits).toEqual([0, 50, 100, 200, 400, 500, 500, 500]);
});

test("a steady life is rewarded: after five seconds the next start is at once again", () => {
  expect(restartDelay(500, 4999)).toBe(500);
  expect(restartDelay(500, 5000)).toBe(0);
});
