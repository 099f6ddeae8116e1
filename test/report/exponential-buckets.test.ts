import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  addExponential,
  EXPONENTIAL_BUCKETS,
  ExponentialBuckets,
  type ExponentialValue,
  isExponentialValue,
} from "../../src/report/exponential-buckets.ts";

function bucketsOf(values: readonly number[]): ExponentialValue {
  const buckets = new ExponentialBuckets();
  for (const value of values) buckets.observe(value);
  return buckets.value;
}

/** From the definition, at the scale that was chosen: how many of `values` lie in each bucket. */
function expected(values: readonly number[], { scale, offset, counts }: ExponentialValue): number[] {
  return counts.map((_, i) => {
    const bound = (index: number): number => 2 ** (index / 2 ** scale);
    const [low, high] = [bound(offset + i), bound(offset + i + 1)];
    return values.filter((value) => value > low && value <= high).length;
  });
}

/** Not so near to a bound that rounding decides. */
const seconds = fc.integer({ min: 1, max: 40_000 }).map((n) => (n * Math.E) ** 2 / 1e5);

test("every value is in the bucket that OpenTelemetry defines for it", () => {
  fc.assert(
    fc.property(fc.array(seconds, { minLength: 1, maxLength: 200 }), (values) => {
      const found = bucketsOf(values);
      expect(found.counts.length).toBeLessThanOrEqual(EXPONENTIAL_BUCKETS);
      expect(found.counts.reduce((a, b) => a + b, 0)).toBe(values.length);
      if (found.scale <= 12) expect([...found.counts]).toEqual(expected(values, found));
    }),
    { numRuns: 500 },
  );
});

test("an exact power of two is the upper bound of its bucket", () => {
  expect(bucketsOf([1, 4])).toMatchObject({ zeros: 0 });
  const { scale, offset, counts } = bucketsOf([1, 2, 4]);
  expect(2 ** ((offset + 1) / 2 ** scale)).toBeCloseTo(1);
  expect(2 ** ((offset + counts.length) / 2 ** scale)).toBeCloseTo(4);
});

test("the scale is as fine as the range of the values allows", () => {
  expect(bucketsOf([1]).scale).toBe(20);
  // 0.05 ms to a day: 31 doublings in 160 buckets.
  expect(bucketsOf([5e-5, 86_400]).scale).toBe(2);
  expect(bucketsOf([Number.MIN_VALUE, Number.MAX_VALUE]).counts.length).toBeLessThanOrEqual(160);
});

test("zero has a count of its own", () => {
  expect(bucketsOf([0, 0, 1])).toMatchObject({ zeros: 2, counts: [1] });
});

test("histograms of two wardens together are those of all their values, perhaps coarser", () => {
  fc.assert(
    fc.property(fc.array(seconds, { maxLength: 60 }), fc.array(seconds, { maxLength: 60 }), (a, b) => {
      const sum = addExponential(bucketsOf(a), bucketsOf(b));
      const whole = bucketsOf([...a, ...b]);
      expect(sum).toEqual(whole);
    }),
    { numRuns: 500 },
  );
  expect(addExponential(undefined, undefined)).toBeUndefined();
  expect(addExponential(undefined, bucketsOf([1]))).toEqual(bucketsOf([1]));
});

test("what is none is refused, also from the wire", () => {
  const right = bucketsOf([1, 2, 3]);
  expect(isExponentialValue(JSON.parse(JSON.stringify(right)))).toBe(true);
  for (const wrong of [
    null,
    7,
    {},
    { ...right, scale: 21 },
    { ...right, scale: 1.5 },
    { ...right, zeros: -1 },
    { ...right, offset: 2e9 },
    { ...right, counts: new Array(161).fill(1) },
    { ...right, counts: [-1] },
    { ...right, counts: ["1"] },
  ])
    expect(isExponentialValue(wrong)).toBe(false);
});
