// Which rules the configuration arms: patterns of roles and rules, and the default action by its name alone.
import { describe, expect, test } from "bun:test";
import { actingRules, isArmedBy, patternsWithoutRule, ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { ruleKey } from "../../src/policy/rule-state.ts";
import { load, policyOf } from "../policy/helpers.ts";

const when = { "==": [{ var: "process.executable.name" }, "dash"] };
const base = {
  role: "base",
  rules: [
    { id: "exec-from-memfd", when, action: "kill", severity: "critical" },
    { id: "odd", when, action: "alert" },
    { id: "off", when, action: "kill", enabled: false },
  ],
};
const web = {
  role: "web",
  extends: ["base"],
  rules: [{ id: "shell", when, action: "kill" }],
  default: "kill",
};

const { policy } = load({ "/p/role.json": web, "/p/base.json": base });
if (policy === undefined) throw new Error("it is good");

function armed(setting: "all" | readonly string[] | undefined): readonly string[] {
  if (policy === undefined) return [];
  const patterns = typeof setting === "object" ? [...setting] : setting;
  const states = ruleStatesOf(policy, (rule) => isArmedBy(patterns, rule), noOverrides);
  return [...states].filter(([, state]) => state.armed === true).map(([key]) => key);
}

test("the rules that could act are those that kill and are enabled, and the default if it kills", () => {
  expect(actingRules(policy).map((rule) => [ruleKey(rule), rule.inherited])).toEqual([
    ["web/shell", false],
    ["base/exec-from-memfd", true],
    ["web/default", false],
  ]);
});

test("a rule that could act is listed with what it does, and the default with the strongest of its actions", () => {
  const connect = { on: ["connect"], when: { "==": [{ var: "network.peer.port" }, 25] }, action: "deny" };
  const mixed = policyOf(
    [
      { id: "mail", ...connect },
      { id: "shell", when, action: "stop" },
    ],
    {
      default: { exec: "kill", connect: "deny" },
    },
  );
  expect(actingRules(mixed).map((rule) => [ruleKey(rule), rule.action])).toEqual([
    ["role/mail", "deny"],
    ["role/shell", "stop"],
    ["role/default", "kill"],
  ]);
});

test.each([
  [undefined, []],
  [[], []],
  [["web/shell"], ["web/shell"]],
  [["web/*"], ["web/shell"]],
  [["*/exec-*-memfd"], ["base/exec-from-memfd"]],
  [["base/exec-from-memfd-exec-from-memfd", "base/*memfd*memfd"], []],
  [["*/*"], ["web/shell", "base/exec-from-memfd"]],
  ["all", ["web/shell", "base/exec-from-memfd"]],
  [["web/default"], ["web/default"]],
] as const)("%j arms %j", (setting, expected) => {
  expect(armed(setting)).toEqual([...expected]);
});

describe("a pattern without a rule", () => {
  test("is found, also where it names a rule that is switched off", () => {
    const patterns = ["web/shel", "base/odd", "base/off", "nobody/*", "web/default", "*/default", "all"];
    expect(patternsWithoutRule(patterns, policy)).toEqual(["web/shel", "base/off", "nobody/*", "*/default"]);
  });
});
