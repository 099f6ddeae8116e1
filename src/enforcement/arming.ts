// Which rules may act on a host: what the configuration arms, and what root has ordered by hand.
import type { Config } from "../config/config.ts";
import { compileTreeGlob } from "../policy/glob.ts";
import { defaultRulesetOf, type Policy } from "../policy/policy.ts";
import { type Holds, type RuleState, type RuleStates, ruleKey } from "../policy/rule-state.ts";
import { type Action, actions, DEFAULT_RULE, needsArming } from "../policy/schema.ts";
import type { Subject } from "../policy/subject.ts";
import { DEFAULT_SEVERITY, type Severity } from "../vocabulary/severities.ts";
import type { ArmTarget, DisarmOrder, Overrides } from "./overrides.ts";

/** The configuration's `armed`; undefined if it does not have it. */
export type ArmedSetting = Config["armed"];

/** The pattern that fits every rule but the default action. */
const ALL = "all";

/** A rule by the role whose file holds it and its id. */
export interface NamedRule {
  readonly ruleset: string;
  readonly id: string;
}

/** A rule, or the default action, that acts where it is armed. */
export interface ActingRule extends NamedRule {
  /** What it does; of the default actions, the strongest. */
  readonly action: Action;
  readonly severity: Severity;
  /** It comes from a role that the policy extends, and not from one that the host names. */
  readonly inherited: boolean;
}

/**
 * The enabled rules of `policy` whose action ends, stops or refuses something, in its order, and last the default if it
 * does.
 */
export function actingRules(policy: Policy): readonly ActingRule[] {
  const named = policy.role.split("+");
  const acting = policy.rules
    .filter(({ action }) => needsArming[action])
    .map(({ ruleset, id, action, severity }) => {
      return { ruleset, id, action, severity, inherited: !named.includes(ruleset) };
    });
  const byDefault = Object.values(policy.defaults);
  const action = actions.findLast((each) => needsArming[each] && byDefault.includes(each));
  if (action === undefined) return acting;
  const ruleset = defaultRulesetOf(policy);
  const inherited = !named.includes(ruleset);
  return [...acting, { ruleset, id: DEFAULT_RULE, action, severity: DEFAULT_SEVERITY, inherited }];
}

/** Whether one of the patterns arms the rule. The default action is armed by its full name only. */
export function isArmedBy(armed: ArmedSetting, rule: NamedRule): boolean {
  return patternsOf(armed).some((pattern) => fits(pattern, rule));
}

/** The patterns that fit no enabled rule of `policy`, whatever its action is: most likely they are misspelt. */
export function patternsWithoutRule(armed: ArmedSetting, policy: Policy): readonly string[] {
  const byDefault = { ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE };
  const rules = [...policy.rules, byDefault];
  return patternsOf(armed).filter((pattern) => pattern !== ALL && !rules.some((rule) => fits(pattern, rule)));
}

/**
 * The state of each rule and of the default action on this host: what the configuration arms, and what root has armed by
 * hand, less what root has disarmed. `isConfigured`: whether the configuration arms a rule, and it may act by that.
 * `overrides`: those in force. A rule that is neither armed nor silenced is not listed.
 */
export function ruleStatesOf(
  policy: Policy,
  isConfigured: (rule: NamedRule) => boolean,
  overrides: Overrides,
): RuleStates {
  const states = new Map<string, RuleState>();
  const byDefault = { ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE };
  const acting = new Set(actingRules(policy).map(ruleKey));
  for (const rule of [...policy.rules, byDefault]) {
    const key = ruleKey(rule);
    const state = {
      armed: acting.has(key) && armedState(key, isConfigured(rule), overrides),
      silenced: silencedState(key, overrides),
      users: usersOf(key, overrides),
    };
    if (state.armed !== false || state.silenced !== false) states.set(key, state);
  }
  return states;
}

function armedState(rule: string, isConfigured: boolean, overrides: Overrides): Holds {
  const arm = overrides.arm.filter((order) => order.rule === rule);
  const disarm = overrides.disarm.filter((order) => order.rule === null || order.rule === rule);
  const isEverywhere = isConfigured || arm.some(({ unit, user }) => unit === null && user === null);
  if (!isEverywhere && arm.length === 0) return false;
  if (isEverywhere && disarm.length === 0) return true;
  const hasException = ({ except }: DisarmOrder): boolean => except.some((target) => target.rule === rule);
  if (disarm.some((order) => order.unit === null && !hasException(order))) return false;
  return (subject) =>
    (isEverywhere || arm.some((order) => isTarget(order, subject))) &&
    !disarm.some((order) => isDisarmed(order, rule, subject));
}

/** The users that orders about the rule name. */
function usersOf(rule: string, { arm, disarm }: Overrides): readonly number[] {
  const targets = [...arm, ...disarm.flatMap(({ except }) => except)].filter(
    (target) => target.rule === rule,
  );
  return targets.flatMap(({ user }) => user ?? []);
}

/** A unit or user that could not be read is not the one that was armed. */
function isTarget({ unit, user }: ArmTarget, subject: Subject): boolean {
  return (unit === null || subject.unit === unit) && (user === null || subject.facts.uid === user);
}

/** A unit that could not be read may be the one that was disarmed. */
function isDisarmed({ unit, except }: DisarmOrder, rule: string, subject: Subject): boolean {
  if (unit !== null && subject.unit !== undefined && subject.unit !== unit) return false;
  return !except.some((target) => target.rule === rule && isTarget(target, subject));
}

function silencedState(rule: string, { silence }: Overrides): Holds {
  const orders = silence.filter((order) => order.rule === rule);
  if (orders.length === 0) return false;
  if (orders.some(({ tree, unit }) => tree === null && unit === null)) return true;
  const tests = orders.map(({ tree, unit }) => ({
    unit,
    fits: tree === null ? null : compileTreeGlob(tree),
  }));
  return (subject) =>
    tests.some(
      ({ unit, fits: fitsTree }) =>
        (unit === null || subject.unit === unit) &&
        (fitsTree === null || fitsTree(subject.tree.labels) || fitsTree(subject.tree.names)),
    );
}

function patternsOf(armed: ArmedSetting): readonly string[] {
  return typeof armed === "string" ? [armed] : (armed ?? []);
}

function fits(pattern: string, rule: NamedRule): boolean {
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
