// The series of trees are bounded, and no unprivileged user gets so many that others find none left.
import { expect, test } from "bun:test";
import { Totals } from "../../src/report/totals.ts";
import { OVERFLOW_TREE, TreeTotals } from "../../src/report/tree-totals.ts";

const LIMIT = 100;
const MALLORY = 1000;

function treeTotals() {
  const clock = { now: 0 };
  return { clock, trees: new TreeTotals(new Totals(), { mode: "full", limit: LIMIT }, () => clock.now) };
}

/** How many of so many new trees of `user` get series of their own; their processes end at once. */
function own(trees: TreeTotals, user: number | undefined, count: number, prefix: string): number {
  let got = 0;
  for (let i = 0; i < count; i++) {
    const handle = trees.started(`/${prefix}${i}`, false, user);
    if (handle.tree !== OVERFLOW_TREE) got += 1;
    trees.ended(handle, 1);
  }
  return got;
}

test("a user gets a quarter of the series for trees that nobody knows, and leaves the others theirs", () => {
  const { trees } = treeTotals();
  expect(own(trees, MALLORY, 1_000, "junk")).toBe(25);
  expect(own(trees, 33, 10, "app")).toBe(10);
  expect(trees.started("/junk0", false, MALLORY).tree).toBe("/junk0");
});

test("a user's trees that become known count no longer for the quarter", () => {
  const { trees } = treeTotals();
  own(trees, MALLORY, 25, "job");
  for (let i = 0; i < 25; i++) trees.started(`/job${i}`, true, MALLORY);
  expect(own(trees, MALLORY, 50, "more")).toBe(25);
});

test("a user's trees that have left after an hour make room for other trees of the user", () => {
  const { clock, trees } = treeTotals();
  own(trees, MALLORY, 25, "old");
  clock.now += 3_600_001;
  trees.expire();
  expect(own(trees, MALLORY, 50, "new")).toBe(25);
});

test("root, and processes whose user is not known, may use all of them", () => {
  expect(own(treeTotals().trees, 0, 1_000, "daemon")).toBe(LIMIT);
  expect(own(treeTotals().trees, undefined, 1_000, "daemon")).toBe(LIMIT);
});
