import { expect, test } from "bun:test";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { NewTrees } from "../../src/warden/new-trees.ts";
import { lineage } from "../baseline/lineages.ts";

const list = treeOf(lineage("/usr/sbin/sshd", "/usr/bin/ls"));
const encode = treeOf(lineage("/usr/sbin/sshd", "/usr/bin/cat"));

test("the two trees of these tests are one but for the exact tree", () => {
  expect(list.id).toBe(encode.id);
  expect(list.exact).not.toBe(encode.exact);
});

test("a tree is new once, whatever base program it ends in", () => {
  const trees = new NewTrees();
  expect([trees.isNew(list, false), trees.isNew(list, false), trees.isNew(encode, false)]).toEqual([
    true,
    false,
    false,
  ]);
});

test("what the baseline does not know is new once for each exact tree, seen before or not", () => {
  const trees = new NewTrees();
  trees.isNew(list, false);
  expect([trees.isNew(list, true), trees.isNew(list, true), trees.isNew(encode, true)]).toEqual([
    true,
    false,
    true,
  ]);
});

test("a restart does not make it new", () => {
  const before = new NewTrees();
  before.isNew(list, true);
  const trees = new NewTrees(before.list());
  const again = treeOf(lineage("/usr/sbin/sshd", "/usr/bin/ls"));
  expect([trees.isNew(again, true), trees.isNew(again, false)]).toEqual([false, false]);
});
