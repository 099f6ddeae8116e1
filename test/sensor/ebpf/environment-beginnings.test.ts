// Which variables of an environment the kernel passes on: those whose first two bytes are those of a wanted name.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { environmentBeginnings } from "../../../src/sensor/ebpf/environment.ts";

const name = fc.string({ unit: fc.constantFrom("A", "B", "_", "1", "ü"), minLength: 1, maxLength: 4 });

function isPassedOn(bits: Uint8Array, variable: string): boolean {
  const [first = 0, second = 0] = Buffer.from(variable);
  const beginning = first + 256 * second;
  return ((bits[beginning >> 3] ?? 0) & (1 << (beginning & 7))) !== 0;
}

test("each wanted variable is passed on, also one whose name has a single letter and no value", () => {
  fc.assert(
    fc.property(fc.array(name), fc.string(), (names, value) => {
      const bits = environmentBeginnings(names);
      expect(names.every((wanted) => isPassedOn(bits, `${wanted}=${value}`))).toBe(true);
    }),
  );
});

test("no other is, unless it begins with the same two bytes", () => {
  fc.assert(
    fc.property(fc.array(name), fc.string({ minLength: 2 }), (names, variable) => {
      const begun = Buffer.from(variable).subarray(0, 2);
      const isAlike = names.some((wanted) => Buffer.from(`${wanted}=`).subarray(0, 2).equals(begun));
      expect(isPassedOn(environmentBeginnings(names), variable)).toBe(isAlike);
    }),
  );
  expect(environmentBeginnings([]).every((byte) => byte === 0)).toBe(true);
});
