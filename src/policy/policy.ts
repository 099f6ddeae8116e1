// A policy in force, and what it decides about one event.
import { hasUserMounts } from "../fingerprint/identify.ts";
import type { JudgedKind } from "../vocabulary/event-kinds.ts";
import type { Severity } from "../vocabulary/severities.ts";
import { isJudged, type JudgedVariable, needsContent } from "../vocabulary/variables.ts";
import { callExpression, type Expression, namesIn, namesTestedByMissing, valueKinds } from "./expression.ts";
import type { RuleEvaluator } from "./rule-evaluator.ts";
import type { RuleStates } from "./rule-state.ts";
import { type Action, actsOnTree } from "./schema.ts";
import { type Subject, withoutPath } from "./subject.ts";

/** A rule with inheritance resolved. */
export interface CompiledRule {
  readonly id: string;
  /** The role whose file defines the rule. */
  readonly ruleset: string;
  readonly description: string | undefined;
  /** The kinds of event for which the rule is evaluated. */
  readonly on: readonly JudgedKind[];
  readonly action: Action;
  readonly severity: Severity;
  readonly tags: readonly string[];
  /** The variables that the rule names. If one of them is absent, the rule is undecided. */
  readonly variables: ReadonlySet<JudgedVariable>;
  /** These, and those whose absence it tests by `missing`: all that its answer depends on. */
  readonly read: ReadonlySet<JudgedVariable>;
  readonly unknownMatches: boolean;
}

export interface Policy {
  /** The role, or several joined by "+". */
  readonly role: string;
  /** First 12 hexadecimal digits of `digest`. */
  readonly version: string;
  /** SHA-256 of the resolved policy's text. */
  readonly digest: string;
  /** The enabled rules in evaluation order. */
  readonly rules: readonly CompiledRule[];
  /** The action for an event that no rule matched. */
  readonly defaults: Readonly<Record<JudgedKind, Action>>;
  /** The variables that any rule names. */
  readonly variables: ReadonlySet<JudgedVariable>;
  /** Contents that are never changed: `sha256:` and 64 hexadecimal digits each. */
  readonly digests: ReadonlySet<string>;
  /** The whole policy as one file without parents. */
  readonly resolved: ResolvedPolicy;
  /** @internal The rules on what processes do on the network; none if nothing denies any of it. */
  readonly networkRules: readonly RuleCondition[];
  /** @internal The rules on execs in evaluation order, where one or the default kills; else none. */
  readonly execRules: readonly RuleCondition[];
  /** @internal */
  readonly evaluators: Readonly<Record<JudgedKind, RuleEvaluator>>;
}

/** The resolved policy as a policy file without parents. */
export interface ResolvedPolicy {
  readonly role: string;
  readonly description?: string;
  readonly lists: Readonly<Record<string, readonly (string | number)[]>>;
  readonly rules: readonly Readonly<Record<string, unknown>>[];
  /** The contents of all files of digests. */
  readonly digests?: readonly string[];
  readonly default: Action | Readonly<Record<JudgedKind, Action>>;
  /** The role whose file holds the default, if that is another one. */
  readonly default_ruleset?: string;
}

export interface Decision {
  readonly action: Action;
  /** Id of the rule that decided, or `default`. */
  readonly rule: string;
  readonly ruleset: string;
  readonly severity: Severity;
  readonly tags: readonly string[];
  /** The ids of the rules that matched, in order. Rules after a matching `allow` are not evaluated. */
  readonly matched: readonly string[];
  /** The ids of the evaluated rules that name an absent variable and do not have `"unknown": "match"`. */
  readonly undecided: readonly string[];
  /** The rule that decided may act on this event. Only actions that end something can be armed. */
  readonly armed: boolean;
  /** Every rule that matched with this action is silenced. */
  readonly silenced: boolean;
}

/** The role whose file holds the default action. */
export function defaultRulesetOf({ role, resolved }: Policy): string {
  return resolved.default_ruleset ?? role;
}

/**
 * Evaluates a policy for one event. Synchronous; uses no clock, no file and no system call. Without `states` every rule
 * is armed and none is silenced, as in the tests of a policy.
 */
export function decide(policy: Policy, subject: Subject, states?: RuleStates): Decision {
  const decision = policy.evaluators[subject.kind].decide(subject, states);
  if (subject.kind !== "exec" || subject.facts.userMounts !== true || actsOnTree(decision.action))
    return decision;
  if (!hasUserMounts(subject.facts)) return decision;
  // Otherwise anyone could run a program by mounting it over that of an exception, in a namespace of their own.
  const withoutExceptions = decideAnew(policy, withoutPath(subject), states);
  return actsOnTree(withoutExceptions.action) ? withoutExceptions : decision;
}

/** What the rules say of a subject that is not what others of its tree are. */
export function decideAnew(policy: Policy, subject: Subject, states?: RuleStates): Decision {
  return policy.evaluators[subject.kind].decideAnew(subject, states);
}

/**
 * What the rules with these ids decide about an event that the others were asked about before. An `allow` among all rules
 * still ends the asking. If none of them matches, the default decision with the action `allow`.
 */
export function decideAmong(
  policy: Policy,
  subject: Subject,
  ids: readonly string[],
  states?: RuleStates,
): Decision {
  return policy.evaluators[subject.kind].decideAmong(subject, ids, states);
}

/** Whether the rule that decided names a variable of which `test` is true. */
export function namesAny(
  { rules }: Policy,
  { rule, ruleset }: Decision,
  test: (name: JudgedVariable) => boolean,
): boolean {
  const deciding = rules.find(({ id, ruleset: role }) => id === rule && role === ruleset);
  return deciding !== undefined && [...deciding.variables].some(test);
}

/** Whether the rule that decided names the content of a file: its verdict is given once for each content. */
export function namesContent(policy: Policy, decision: Decision): boolean {
  return namesAny(policy, decision, needsContent);
}

export interface RuleSource {
  readonly rule: Omit<CompiledRule, "variables" | "read">;
  readonly when: Expression;
  readonly except: readonly Expression[];
}

/** A rule and the expression that joins its condition and exceptions. */
export interface RuleCondition {
  readonly rule: CompiledRule;
  readonly condition: Expression;
}

/** Joins a rule's condition with its exceptions. */
export function ruleCondition({ rule, when, except }: RuleSource): RuleCondition {
  let condition = when;
  if (except.length > 0)
    condition = callExpression(
      "and",
      [when, callExpression("!", [callExpression("or", except, anyKind(except))])],
      when.kind | valueKinds.bool,
    );
  const variables = new Set([...namesIn(condition)].filter(isJudged));
  const read = new Set([...variables, ...[...namesTestedByMissing(condition)].filter(isJudged)]);
  return { rule: { ...rule, variables, read }, condition };
}

function anyKind(expressions: readonly Expression[]): number {
  let kind = 0;
  for (const expression of expressions) kind |= expression.kind;
  return kind;
}
