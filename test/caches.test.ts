// Whoever reads a cache must find beside it what makes its content wrong, and what is done about that.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Glob } from "bun";

/** Constructs that are nothing but caches; maps are many things, and left to the reader. */
const cache = /= new (?:WeakMap|BoundedCache)\b/;
/** A line may stand above several caches that it holds for. */
const LINES_ABOVE = 5;

test("each cache says what invalidates it", () => {
  const silent: string[] = [];
  let found = 0;
  for (const file of new Glob("src/**/*.ts").scanSync()) {
    const lines = readFileSync(file, "utf8").split("\n");
    for (const [i, line] of lines.entries()) {
      if (!cache.test(line)) continue;
      found += 1;
      const above = lines.slice(Math.max(0, i - LINES_ABOVE), i).join("\n");
      if (!above.includes("Invalidated by:")) silent.push(`${file}:${i + 1}: ${line.trim()}`);
    }
  }
  expect(silent).toEqual([]);
  expect(found).toBeGreaterThan(5);
});
