import { expect, test } from "bun:test";
import { neverMatching, neverMatchingText } from "../../src/policy/never-matching.ts";
import { policyOf } from "./helpers.ts";

const byArguments = { contains: [{ var: "process.command_line" }, "x"] };
const byTree = { tree: "/**/nginx/*" };

function rulesUnder(source: "ebpf" | "acct", ...rules: readonly object[]): readonly string[] {
  return neverMatching(policyOf(rules), source).map((rule) => neverMatchingText(rule, source));
}

test("a rule on arguments can never match under process accounting, one on trees can", () => {
  const rules = [
    { id: "words", when: byArguments, action: "alert" },
    { id: "tree", when: byTree, action: "alert" },
  ];
  expect(rulesUnder("acct", ...rules)).toEqual([
    "role/words can never match: the source acct does not know process.command_line",
  ]);
  expect(rulesUnder("ebpf", ...rules)).toEqual([]);
});

test("an exception that names an unknown variable keeps its rule from matching, too", () => {
  const rule = { id: "it", when: byTree, except: [byArguments], action: "alert" };
  expect(rulesUnder("acct", rule)).toHaveLength(1);
});

test("a rule that matches what is unknown is no reason to warn, nor is one that is switched off", () => {
  const rule = { id: "it", when: byArguments, action: "alert" };
  expect(rulesUnder("acct", { ...rule, unknown: "match" })).toEqual([]);
  expect(rulesUnder("acct", { ...rule, enabled: false })).toEqual([]);
});
