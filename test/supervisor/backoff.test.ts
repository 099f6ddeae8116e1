import { expect, test } from "bun:test";
import { restartDelay } from "../../src/supervisor/backoff.ts";

test("after its first failure a child is restarted at once", () => {
  expect(restartDelay(undefined, 0)).toBe(0);
});

test("repeated failures double the delay up to half a second", () => {
  const waits: number[] = [];
  let last: number | undefined;
  for (let i = 0; i < 8; i += 1) {
    last = restartDelay(last, 10);
    waits.push(last);
  }
  expect(waits).toEqual([0, 50, 100, 200, 400, 500, 500, 500]);
});

test("a child that ran for five seconds is restarted at once", () => {
  expect(restartDelay(500, 4999)).toBe(500);
  expect(restartDelay(500, 5000)).toBe(0);
});
