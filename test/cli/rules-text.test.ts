// How `run`, `status` and `doctor` count rules.
import { expect, test } from "bun:test";
import { actingRulesText } from "../../src/cli/rules-text.ts";
import type { Action } from "../../src/policy/schema.ts";

test.each([
  [[], "rules that kill"],
  [["kill", "kill"], "rules that kill"],
  [["deny"], "rules that deny"],
  [["deny", "kill", "deny"], "rules that kill or deny"],
  [["deny", "kill", "stop"], "rules that kill, stop or deny"],
] as const)("rules with the actions %j are called %j", (actions, text) => {
  expect(actingRulesText(actions.map((action: Action) => ({ action })))).toBe(text);
});
