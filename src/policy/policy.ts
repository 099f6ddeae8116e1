// A policy in force, and what it decides about one event.
import type { Tree } from "../fingerprint/tree.ts";
import type { JudgedKind } from "../vocabulary/event-kinds.ts";
import { DEFAULT_SEVERITY, type Severity } from "../vocabulary/severities.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { isExpensive, isJudged, type JudgedVariable, needsContent } from "../vocabulary/variables.ts";
import { Compiler, type Evaluation, type Program } from "./compiler.ts";
import {
  callExpression,
  decidedByLineage,
  type Expression,
  namesIn,
  namesTestedByMissing,
  possible,
  valueKinds,
} from "./expression.ts";
import { type Action, DEFAULT_RULE } from "./schema.ts";
import { presenceReaderOf, type Reader, readerOf, type Subject } from "./subject.ts";

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
}

/** Evaluates a policy for one event. Synchronous; uses no clock, no file and no system call. */
export function decide(policy: Policy, subject: Subject): Decision {
  return policy.evaluators[subject.kind].decide(subject);
}

/**
 * What the rules with these ids decide about an event that the others were asked about before. An `allow` among all rules
 * still ends the asking. If none of them matches, the default decision with the action `allow`.
 */
export function decideAmong(policy: Policy, subject: Subject, ids: readonly string[]): Decision {
  return policy.evaluators[subject.kind].decideAmong(subject, ids);
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

interface EvaluatedRule {
  readonly rule: CompiledRule;
  readonly program: Program;
  /**
   * If this is false, `program` is false for every event of the lineage. undefined if no part of the condition depends
   * on the lineage alone.
   */
  readonly prefilter: Program | undefined;
  /** The slots of the variables that the rule names, as a bit set with 32 slots in a word. */
  readonly needs: readonly number[];
  /** The decision if this rule alone matched and none was undecided. */
  readonly alone: Decision;
}

/** The rules that can matter for the events of one tree. */
interface RulePrefilter {
  /** The prefilter is valid only for subjects that lack the same variables. */
  readonly absent: readonly number[];
  /** The indices of the rules to evaluate: those that can match and those that are undecided. */
  readonly rules: readonly number[];
}

/** Marks a tree of which one event was judged: a prefilter pays off only from the second event on. */
const seenOnce: RulePrefilter = { absent: [], rules: [] };

const strength: Readonly<Record<Action, number>> = { allow: 0, alert: 1, kill: 2 };
const noNames: readonly string[] = Object.freeze([]);

/** The compiled rules for one kind of event. They share one `Evaluation`, because deciding is synchronous. */
export class RuleEvaluator {
  private readonly asked: readonly EvaluatedRule[];
  private readonly all: readonly number[];
  /**
   * Invalidated by: nothing. An entry is freed with its tree, and all entries with the evaluator, which belongs to one
   * policy. What varies between the events of a tree is compared (`absent`) or evaluated again.
   */
  private readonly prefilters = new WeakMap<Tree, RulePrefilter>();
  private readonly names: readonly JudgedVariable[];
  private readonly readers: readonly Reader[];
  private readonly evaluation: Evaluation;
  private readonly absent: Int32Array;
  private readonly defaultDecision: Decision;
  /**
   * The last default decision with undecided rules, reused because the next event usually leaves the same rules
   * undecided. Invalidated by: nothing, the undecided rules are compared.
   */
  private lastUndecided: Decision;

  /** `slots`: the place of each variable's value. To be called by `compilingEvaluator` only. */
  constructor(
    asked: readonly PreparedRule[],
    slots: ReadonlyMap<string, number>,
    defaultAction: Action,
    defaultRuleset: string,
  ) {
    const words = (slots.size + 31) >> 5;
    this.asked = asked.map((rule) => ({ ...rule, needs: masks(rule.slots, words) }));
    this.all = [...this.asked.keys()];
    this.names = [...slots.keys()].filter(isJudged);
    const late = this.names.map((name) => (isExpensive(name) ? readerOf(name) : undefined));
    this.readers = this.names.map((name) => presenceReaderOf(name) ?? readerOf(name));
    this.evaluation = {
      values: this.names.map(() => undefined),
      late,
      subject: undefined,
      ancestry: undefined,
    };
    this.absent = new Int32Array(words);
    this.defaultDecision = {
      action: defaultAction,
      rule: DEFAULT_RULE,
      ruleset: defaultRuleset,
      severity: DEFAULT_SEVERITY,
      tags: noNames,
      matched: noNames,
      undecided: noNames,
    };
    this.lastUndecided = this.defaultDecision;
  }

  decide(subject: Subject): Decision {
    return this.evaluate(subject, undefined);
  }

  decideAmong(subject: Subject, ids: readonly string[]): Decision {
    const decision = this.evaluate(subject, ids);
    return decision.rule === DEFAULT_RULE ? { ...decision, action: "allow" } : decision;
  }

  private evaluate(subject: Subject, ids: readonly string[] | undefined): Decision {
    const { evaluation } = this;
    this.read(subject);
    let matched: EvaluatedRule[] | undefined;
    let undecided: string[] | undefined;
    for (const i of this.rulesFor(subject.tree)) {
      const asked = this.asked[i];
      if (asked === undefined) continue;
      if (this.isUndecided(asked)) {
        undecided ??= [];
        undecided.push(asked.rule.id);
        continue;
      }
      if (!asked.program(evaluation)) continue;
      if (ids === undefined || ids.includes(asked.rule.id)) {
        matched ??= [];
        matched.push(asked);
      }
      if (asked.rule.action === "allow") break;
    }
    evaluation.subject = undefined;
    evaluation.ancestry = undefined;
    return this.decisionOf(matched, undecided);
  }

  private read(subject: Subject): void {
    const { evaluation, absent } = this;
    evaluation.subject = subject;
    evaluation.ancestry = undefined;
    absent.fill(0);
    for (let slot = 0; slot < this.readers.length; slot++) {
      const value = this.readers[slot]?.(subject);
      evaluation.values[slot] = value;
      if (value === undefined) absent[slot >> 5] = (absent[slot >> 5] ?? 0) | (1 << (slot & 31));
    }
  }

  /**
   * The indices of the rules to evaluate for the current subject. Most execs repeat a lineage, and most rules concern
   * programs that the lineage does not run. For a tree that occurs once a prefilter would cost more than it saves.
   */
  private rulesFor(tree: Tree): readonly number[] {
    const known = this.prefilters.get(tree);
    if (known !== seenOnce && known !== undefined && this.isAbsent(known.absent)) return known.rules;
    if (known !== seenOnce) {
      this.prefilters.set(tree, seenOnce);
      return this.all;
    }
    const rules = this.all.filter((i) => this.canMatter(this.asked[i]));
    this.prefilters.set(tree, { absent: [...this.absent], rules });
    return rules;
  }

  private canMatter(asked: EvaluatedRule | undefined): boolean {
    if (asked?.prefilter === undefined || this.isUndecided(asked)) return true;
    return asked.prefilter(this.evaluation);
  }

  private isAbsent(absent: readonly number[]): boolean {
    for (let word = 0; word < absent.length; word++) if (absent[word] !== this.absent[word]) return false;
    return true;
  }

  private isUndecided({ rule, needs }: EvaluatedRule): boolean {
    if (rule.unknownMatches) return false;
    for (let word = 0; word < needs.length; word++) {
      if (((needs[word] ?? 0) & (this.absent[word] ?? 0)) !== 0) return true;
    }
    return false;
  }

  private decisionOf(
    matched: readonly EvaluatedRule[] | undefined,
    undecided: readonly string[] | undefined,
  ): Decision {
    if (matched === undefined)
      return undecided === undefined ? this.defaultDecision : this.undecidedDecision(undecided);
    let deciding = matched[0];
    for (const asked of matched) {
      if (deciding === undefined || strength[asked.rule.action] > strength[deciding.rule.action])
        deciding = asked;
    }
    if (deciding === undefined) return this.defaultDecision;
    if (matched.length === 1 && undecided === undefined) return deciding.alone;
    return {
      ...deciding.alone,
      matched: matched.map(({ rule }) => rule.id),
      undecided: undecided === undefined ? noNames : this.undecidedDecision(undecided).undecided,
    };
  }

  /** The default decision with these undecided rules. The list is the last one's if they are the same. */
  private undecidedDecision(undecided: readonly string[]): Decision {
    const last = this.lastUndecided.undecided;
    if (undecided.length !== last.length || undecided.some((rule, i) => rule !== last[i]))
      this.lastUndecided = { ...this.defaultDecision, undecided };
    return this.lastUndecided;
  }
}

type PreparedRule = Omit<EvaluatedRule, "needs"> & { readonly slots: readonly number[] };

/** Compiles the rules for one kind of event, which are in evaluation order, one at a time. */
export function* compilingEvaluator(
  rules: readonly RuleCondition[],
  defaultAction: Action,
  defaultRuleset: string,
): Steps<RuleEvaluator> {
  const slots = new Map<string, number>();
  const slotOf = (name: string): number => {
    const known = slots.get(name);
    if (known !== undefined) return known;
    slots.set(name, slots.size);
    return slots.size - 1;
  };
  const compiler = new Compiler({ slotOf, isLate: isExpensive });
  const asked: PreparedRule[] = [];
  for (const rule of rules) {
    asked.push(prepare(rule, compiler, slotOf));
    yield;
  }
  return new RuleEvaluator(asked, slots, defaultAction, defaultRuleset);
}

function prepare(
  { rule, condition }: RuleCondition,
  compiler: Compiler,
  slotOf: (name: string) => number,
): PreparedRule {
  const names = namesIn(condition);
  for (const name of [...names, ...namesTestedByMissing(condition)]) slotOf(name);
  const asked = rule.unknownMatches ? possible(condition) : condition;
  const program = compiler.compile(asked);
  const decided = decidedByLineage(asked);
  const prefilter = decided === undefined ? undefined : compiler.compile(decided);
  const { action, ruleset, severity, tags, id } = rule;
  const alone: Decision = {
    action,
    rule: id,
    ruleset,
    severity,
    tags,
    matched: Object.freeze([id]),
    undecided: noNames,
  };
  return { rule, program, prefilter, alone, slots: [...names].map(slotOf) };
}

function anyKind(expressions: readonly Expression[]): number {
  let kind = 0;
  for (const expression of expressions) kind |= expression.kind;
  return kind;
}

function masks(slots: readonly number[], words: number): number[] {
  const needs = new Array<number>(words).fill(0);
  for (const slot of slots) needs[slot >> 5] = (needs[slot >> 5] ?? 0) | (1 << (slot & 31));
  return needs;
}
