// How rules are counted and described for a person.
import { type Action, actions } from "../policy/schema.ts";
import { eitherOf } from "../vocabulary/error-text.ts";

/** For a person: "1 rule", "8 rules". */
export function rulesText(rules: number): string {
  return rules === 1 ? "1 rule" : `${rules} rules`;
}

/** For a person, rules that are armed or not: "rules that kill", "rules that kill or deny". */
export function actingRulesText(rules: readonly { readonly action: Action }[]): string {
  const found = actions.filter((action) => rules.some((rule) => rule.action === action));
  return `rules that ${found.length === 0 ? "kill" : eitherOf(found.reverse())}`;
}
