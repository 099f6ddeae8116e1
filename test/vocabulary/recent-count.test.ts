import { expect, test } from "bun:test";
import fc from "fast-check";
import { RecentCount } from "../../src/vocabulary/recent-count.ts";

test("everything of the last half is counted, and nothing that is older than two of them", () => {
  const gaps = fc.array(fc.oneof(fc.nat(4), fc.nat(40)), { maxLength: 60 });
  fc.assert(
    fc.property(gaps, (list) => {
      const recent = new RecentCount(10);
      const times: number[] = [];
      let now = 1_000;
      for (const gap of list) {
        now += gap;
        recent.add(now);
        times.push(now);
        const within = (length: number) => times.filter((time) => time > now - length).length;
        expect(recent.at(now)).toBeGreaterThanOrEqual(within(10));
        expect(recent.at(now)).toBeLessThanOrEqual(within(20));
      }
    }),
  );
});

test("there is an end of it, and when is known", () => {
  const recent = new RecentCount(10);
  let now = 1_003;
  for (let i = 0; i < 5; i += 1) recent.add(now);
  for (let i = 0; i < 2; i += 1) now += recent.fewerIn(now);
  expect(now).toBe(1_023);
  expect(recent.at(now)).toBe(0);
  expect(recent.at(now - 1 + 100)).toBe(0);
});
