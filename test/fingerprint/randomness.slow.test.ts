// Endurance of the score of randomness: half a million lineages of random names.
import { expect, test } from "bun:test";
import { alphabets, dice, draw } from "../../build/randomness-names.ts";
import { createIdentifier } from "../../src/fingerprint/identify.ts";
import type { Runnable, RunnableFacts } from "../../src/fingerprint/runnable.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { type Lineage, Lineages } from "../../src/forest/lineage.ts";

function facts(executable: string): RunnableFacts {
  return {
    executable,
    executableMemfd: false,
    filename: undefined,
    script: undefined,
    args: undefined,
    cwd: "/",
  };
}

test("a million random programs under random parents leave few trees and no memory", () => {
  const roll = dice(1_000_003);
  const kinds = [alphabets.hex, alphabets["base32, lower case"], alphabets.base62, alphabets.base64url];
  const name = () =>
    draw(kinds[Math.floor(roll() * kinds.length)] ?? alphabets.hex, 8 + Math.floor(roll() * 9), roll);
  const path = () => `/${["tmp", "opt", "var/lib", "home/user"][Math.floor(roll() * 4)]}/${name()}/${name()}`;
  const own = createIdentifier();
  const lineages = new Lineages();
  const trees = new Set<string>();
  const spec = (program: Runnable) => ({
    program,
    earlier: [],
    uid: 0,
    container: null,
    complete: true,
    init: false,
    elided: null,
  });
  const root = lineages.intern(null, spec(own(facts("/usr/sbin/crond"))));
  lineages.retain(root);
  let resident = 0;
  let live: Lineage[] = [];
  for (let at = 0; at < 500_000; at++) {
    const parent = lineages.intern(root, spec(own(facts(path()))));
    const child = lineages.intern(parent, spec(own(facts(path()))));
    lineages.retain(child);
    trees.add(treeOf(parent).path).add(treeOf(child).path);
    trees.add(treeOf(child).exact);
    live.push(child);
    if (live.length === 1000) {
      for (const leaf of live) lineages.release(leaf);
      live = [];
    }
    if (at === 250_000) {
      Bun.gc(true);
      resident = process.memoryUsage.rss();
    }
  }
  Bun.gc(true);
  expect(trees.size).toBeLessThanOrEqual(100);
  expect(lineages.size).toBeLessThanOrEqual(2001);
  expect(process.memoryUsage.rss() - resident).toBeLessThan(32 << 20);
}, 120_000);
