// From a role with inheritance resolved to a policy: its conditions are read and compiled.
import { forJudgedKinds, type JudgedKind, judgedKinds, networkKinds } from "../vocabulary/event-kinds.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { readCondition } from "./condition.ts";
import type { Expression } from "./expression.ts";
import {
  type Policy,
  type ResolvedPolicy,
  type RuleCondition,
  type RuleSource,
  ruleCondition,
} from "./policy.ts";
import {
  DEFAULT_ON,
  type LoadedRole,
  type Placed,
  plainOf,
  type Resolved,
  type ResolvedRule,
} from "./resolve.ts";
import { compilingEvaluator, type RuleEvaluator } from "./rule-evaluator.ts";
import { type EnvironmentNames, ruleNames } from "./rule-names.ts";

/** A rule with its conditions, and where it was defined. */
export interface PlacedRule extends RuleSource {
  readonly definition: Placed;
}

/** A rule whose conditions were read; an expression is undefined if it has an error. */
export interface ReadRule {
  readonly resolved: ResolvedRule;
  readonly when: Expression | undefined;
  readonly except: readonly (Expression | undefined)[];
}

/**
 * Reads the conditions, one rule at a time. Disabled rules are checked too, so that enabling one later cannot reveal an
 * error.
 */
export function* readingRules(resolved: Resolved, environmentNames: EnvironmentNames): Steps<ReadRule[]> {
  const rules: ReadRule[] = [];
  for (const rule of resolved.rules) {
    const names = ruleNames(resolved.lists, rule.on, environmentNames);
    rules.push({
      resolved: rule,
      when: readCondition(rule.when.document, rule.when.node, names),
      except: rule.except.map(({ document, node }) => readCondition(document, node, names)),
    });
    yield;
  }
  return rules;
}

/** undefined for a rule that is disabled or has an error. */
export function placedRule({ resolved, when, except }: ReadRule): PlacedRule | undefined {
  if (!resolved.enabled || when === undefined) return undefined;
  const { id, ruleset, description, on, action, severity, tags, unknownMatches, definition } = resolved;
  return {
    rule: { id, ruleset, description, on, action, severity, tags, unknownMatches },
    when,
    except: except.filter((expression) => expression !== undefined),
    definition,
  };
}

/** Compiles the rules, one at a time. */
export function* compilingPolicy(
  role: LoadedRole,
  resolved: Resolved,
  rules: readonly PlacedRule[],
  digests: ReadonlySet<string>,
): Steps<Policy> {
  const conditions = rules.map(ruleCondition);
  const compiled = conditions.map(({ rule }) => rule);
  const evaluatorFor = (kind: JudgedKind): Steps<RuleEvaluator> => {
    const { action, ruleset } = resolved.defaults[kind];
    return compilingEvaluator(
      conditions.filter(({ rule }) => rule.on.includes(kind)),
      action,
      ruleset,
    );
  };
  const evaluators = {
    exec: yield* evaluatorFor("exec"),
    connect: yield* evaluatorFor("connect"),
    send: yield* evaluatorFor("send"),
    listen: yield* evaluatorFor("listen"),
  };
  const plain = plainPolicy(role, resolved, digests);
  const defaults = defaultActions(resolved);
  const digest = new Bun.CryptoHasher("sha256").update(JSON.stringify(plain)).digest("hex");
  return {
    role: role.file.role,
    version: digest.slice(0, 12),
    digest,
    rules: compiled,
    defaults,
    variables: new Set(compiled.flatMap((rule) => [...rule.variables])),
    digests,
    resolved: plain,
    networkRules: networkRules(conditions, defaults),
    execRules: execRules(conditions, resolved.defaults.exec.action),
    evaluators,
  };
}

/** What decides about denials; their conditions are kept for nothing else. */
function networkRules(
  conditions: readonly RuleCondition[],
  defaults: Policy["defaults"],
): readonly RuleCondition[] {
  const deniesAny =
    networkKinds.some((kind) => defaults[kind] === "deny") ||
    conditions.some(({ rule }) => rule.action === "deny");
  return deniesAny ? conditions.filter(({ rule }) => rule.on.some((kind) => kind !== "exec")) : [];
}

/** What decides whether execs are ended; their conditions are kept for nothing else. */
function execRules(conditions: readonly RuleCondition[], byDefault: string): readonly RuleCondition[] {
  const onExecs = conditions.filter(({ rule }) => rule.on.includes("exec"));
  return byDefault === "kill" || onExecs.some(({ rule }) => rule.action === "kill") ? onExecs : [];
}

function plainPolicy(role: LoadedRole, resolved: Resolved, digests: ReadonlySet<string>): ResolvedPolicy {
  const plainName = (name: string): string => name.replaceAll("+", "-");
  const name = plainName(role.file.role);
  const defaultRuleset = plainName(resolved.defaults.exec.ruleset);
  return {
    role: name,
    ...(role.file.description === undefined ? {} : { description: role.file.description }),
    lists: Object.fromEntries(resolved.lists),
    rules: resolved.rules.map((rule) => ({
      id: rule.id,
      ruleset: rule.ruleset,
      ...(rule.description === undefined ? {} : { description: rule.description }),
      ...(isDefaultOn(rule.on) ? {} : { on: rule.on }),
      when: plainOf(rule.when),
      ...(rule.except.length === 0 ? {} : { except: rule.except.map(plainOf) }),
      action: rule.action,
      severity: rule.severity,
      ...(rule.tags.length === 0 ? {} : { tags: rule.tags }),
      ...(rule.enabled ? {} : { enabled: false }),
      ...(rule.unknownMatches ? { unknown: "match" } : {}),
    })),
    ...(digests.size === 0 ? {} : { digests: [...digests].sort() }),
    default: plainDefault(resolved),
    ...(defaultRuleset === name ? {} : { default_ruleset: defaultRuleset }),
  };
}

function isDefaultOn(on: readonly JudgedKind[]): boolean {
  return on.length === DEFAULT_ON.length && on.every((kind) => DEFAULT_ON.includes(kind));
}

/** The action of execs alone if every other kind of event is allowed by default; otherwise all actions. */
function plainDefault(resolved: Resolved): ResolvedPolicy["default"] {
  const defaults = defaultActions(resolved);
  const isPlain = judgedKinds.every((kind) => kind === "exec" || defaults[kind] === "allow");
  return isPlain ? defaults.exec : defaults;
}

function defaultActions({ defaults }: Resolved): Policy["defaults"] {
  return forJudgedKinds((kind) => defaults[kind].action);
}
