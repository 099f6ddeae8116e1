// Which rules may act on a host: what the configuration arms.
import type { Config } from "../config/config.ts";
import type { Policy } from "../policy/policy.ts";
import { type RuleState, type RuleStates, ruleKey } from "../policy/rule-state.ts";
import { DEFAULT_RULE } from "../policy/schema.ts";
import type { Severity } from "../vocabulary/severities.ts";
import { DEFAULT_SEVERITY } from "../vocabulary/severities.ts";

/** The configuration's `armed`; undefined if it does not have it. */
export type ArmedSetting = Config["armed"];

/** The pattern that fits every rule but the default action. */
const ALL = "all";

/** A rule, or the default action, that acts where it is armed. */
export interface ActingRule {
  readonly ruleset: string;
  readonly id: string;
  readonly severity: Severity;
  /** It comes from a role that the policy extends, and not from one that the host names. */
  readonly inherited: boolean;
}

/** The enabled rules of `policy` whose action ends something, in its order, and last the default if it does. */
export function actingRules(policy: Policy): readonly ActingRule[] {
  const named = policy.role.split("+");
  const acting = policy.rules
    .filter(({ action }) => action === "kill")
    .map(({ ruleset, id, severity }) => ({ ruleset, id, severity, inherited: !named.includes(ruleset) }));
  if (!Object.values(policy.defaults).includes("kill")) return acting;
  const ruleset = defaultRulesetOf(policy);
  const inherited = !named.includes(ruleset);
  return [...acting, { ruleset, id: DEFAULT_RULE, severity: DEFAULT_SEVERITY, inherited }];
}

/** The role whose file holds the default action. */
export function defaultRulesetOf({ role, resolved }: Policy): string {
  return resolved.default_ruleset ?? role;
}

/** Whether one of the patterns arms the rule. The default action is armed by its full name only. */
export function isArmedBy(
  armed: ArmedSetting,
  rule: { readonly ruleset: string; readonly id: string },
): boolean {
  return patternsOf(armed).some((pattern) => fits(pattern, rule));
}

/** The patterns that fit no enabled rule of `policy`, whatever its action is: most likely they are misspelt. */
export function patternsWithoutRule(armed: ArmedSetting, policy: Policy): readonly string[] {
  const byDefault = { ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE };
  const rules = [...policy.rules, byDefault];
  return patternsOf(armed).filter((pattern) => pattern !== ALL && !rules.some((rule) => fits(pattern, rule)));
}

/** The state of each rule that may act, by the configuration alone. */
export function configuredStates(policy: Policy, armed: ArmedSetting): RuleStates {
  const states = new Map<string, RuleState>();
  for (const rule of actingRules(policy))
    states.set(ruleKey(rule), { armed: isArmedBy(armed, rule), silenced: false });
  return states;
}

function patternsOf(armed: ArmedSetting): readonly string[] {
  return typeof armed === "string" ? [armed] : (armed ?? []);
}

function fits(pattern: string, rule: { readonly ruleset: string; readonly id: string }): boolean {
  if (rule.id === DEFAULT_RULE) return pattern === ruleKey(rule);
  if (pattern === ALL) return true;
  const [role = "", id = ""] = pattern.split("/");
  return fitsName(role, rule.ruleset) && fitsName(id, rule.id);
}

/** `*` stands for any characters of a name. Names are short, so that going back costs nothing. */
function fitsName(pattern: string, name: string): boolean {
  const [first = "", ...others] = pattern.split("*");
  const last = others.pop();
  if (last === undefined) return pattern === name;
  if (!name.startsWith(first)) return false;
  let from = first.length;
  for (const part of others) {
    const at = name.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}
