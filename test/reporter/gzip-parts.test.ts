// Parts that were compressed one by one are one gzip file, for every program that reads such files.
import { expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { gzipOf, gzipPart } from "../../src/reporter/gzip-parts.ts";

test("parts in any number and order are the file of all of them", () => {
  const texts = fc.array(fc.string({ unit: "grapheme", maxLength: 3_000 }), { maxLength: 12 });
  fc.assert(
    fc.property(texts, (list) => {
      const file = gzipOf(list.map(gzipPart));
      // Both check the CRC and the length; zlib's would go on with a second file.
      expect(gunzipSync(file).toString()).toBe(list.join(""));
      expect(Buffer.from(Bun.gunzipSync(file)).toString()).toBe(list.join(""));
    }),
    { numRuns: 100 },
  );
});

test("gzip(1) reads it", () => {
  const file = gzipOf(["a".repeat(100_000), "b\n", ""].map(gzipPart));
  const run = Bun.spawnSync(["gzip", "-dc"], { stdin: file });
  expect(run.stderr.toString()).toBe("");
  expect(run.stdout.toString()).toBe(`${"a".repeat(100_000)}b\n`);
});

test("a part that takes several blocks is one part all the same", () => {
  const text = Array.from({ length: 40_000 }, (_, i) => Bun.hash(String(i)).toString(36)).join("");
  expect(gunzipSync(gzipOf([gzipPart(text), gzipPart("end")])).toString()).toBe(`${text}end`);
});
