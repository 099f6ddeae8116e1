// The prefixes of a range of users.
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { HIGHEST_USER, userPrefixes } from "../../src/vocabulary/user-ranges.ts";

const uid = fc.oneof(fc.integer({ min: 0, max: HIGHEST_USER }), fc.constantFrom(0, 1, 33, HIGHEST_USER));

test("prefixes have the users of their range, each once, and no others", () => {
  const property = fc.property(uid, uid, (a, b) => {
    const [first, last] = [Math.min(a, b), Math.max(a, b)];
    let next = first;
    for (const prefix of userPrefixes({ first, last })) {
      const size = 2 ** (32 - prefix.length);
      expect(prefix.first).toBe(next);
      expect(prefix.first % size).toBe(0);
      next += size;
    }
    expect(next).toBe(last + 1);
  });
  fc.assert(property);
});

test("all users are one prefix, and a single one is one", () => {
  expect(userPrefixes({ first: 0, last: HIGHEST_USER })).toEqual([{ first: 0, length: 0 }]);
  expect(userPrefixes({ first: 33, last: 33 })).toEqual([{ first: 33, length: 32 }]);
});
