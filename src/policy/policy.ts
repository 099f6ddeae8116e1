// A policy in force, and what it decides about one event.
import type { Tree } from "../fingerprint/tree.ts";
import type { EnvironmentVariables, ProcessFacts } from "../sensor/event.ts";
import { isEnvironmentVariable, nameInEnvironment } from "../vocabulary/environment.ts";
import type { JudgedKind } from "../vocabulary/event-kinds.ts";
import { DEFAULT_SEVERITY, type Severity, severities } from "../vocabulary/severities.ts";
import type { Steps } from "../vocabulary/steps.ts";
import {
  isExpensive,
  isJudged,
  isOfEnvironment,
  type JudgedVariable,
  judgedRow,
  needsContent,
} from "../vocabulary/variables.ts";
import { Compiler, type Evaluation, type Program } from "./compiler.ts";
import {
  callExpression,
  decidedByEnvironment,
  decidedByLineage,
  type Expression,
  namesIn,
  namesTestedByMissing,
  possible,
  valueKinds,
} from "./expression.ts";
import { holdsFor, type RuleStates, ruleKey } from "./rule-state.ts";
import { type Action, actions, DEFAULT_RULE } from "./schema.ts";
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
  /** The rule that decided may act on this event. Only actions that end something can be armed. */
  readonly armed: boolean;
  /** Every rule that matched with this action is silenced. */
  readonly silenced: boolean;
}

/**
 * Evaluates a policy for one event. Synchronous; uses no clock, no file and no system call. Without `states` every rule
 * is armed and none is silenced, as in the tests of a policy.
 */
export function decide(policy: Policy, subject: Subject, states?: RuleStates): Decision {
  return policy.evaluators[subject.kind].decide(subject, states);
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

interface EvaluatedRule {
  readonly rule: CompiledRule;
  readonly program: Program;
  /**
   * If this is false, `program` is false for every event of the lineage. undefined if no part of the condition depends
   * on the lineage alone.
   */
  readonly prefilter: Program | undefined;
  /** If none of the environment variables that are asked for is set, `program` is false. */
  readonly needsVariableSet: boolean;
  /** The slots of the variables that the rule names, as a bit set with 32 slots in a word. */
  readonly needs: readonly number[];
  /** The decisions if this rule alone matched and none was undecided, see `standingOf`. */
  readonly alone: Standings;
}

/** One decision for each standing that its rule may have for an event. */
type Standings = readonly [Decision, Decision, Decision, Decision];
const ARMED = 1;
const SILENCED = 2;

/** Which of a rule's decisions holds: the sum of ARMED and SILENCED. */
type Standing = 0 | 1 | 2 | 3;

/** The rules that can matter for the events of one tree. */
interface RulePrefilter {
  /** The prefilter is valid only for subjects that lack the same variables. */
  readonly absent: readonly number[];
  /** The indices of the rules to evaluate: those that can match and those that are undecided. */
  readonly rules: readonly number[];
}

/** Marks a tree of which one event was judged: a prefilter pays off only from the second event on. */
const seenOnce: RulePrefilter = { absent: [], rules: [] };

const strength = (action: Action): number => actions.indexOf(action);
/** Actions that end something, so that only an armed rule may carry them out. */
const needsArming: Readonly<Record<Action, boolean>> = { allow: false, alert: false, kill: true };
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
  /** By slot. */
  private readonly readers: readonly Reader[];
  /** The slots of variables that depend on the environment alone, and all others. */
  private readonly environmentSlots: readonly number[];
  private readonly otherSlots: readonly number[];
  /** The environment variables that are asked for, by their names within the environment. */
  private readonly environmentNames: readonly string[];
  /** The values of `environmentSlots` are those of an empty environment. */
  private hasEmptyEnvironment = false;
  /**
   * The last environment that was found empty: the sensor has one for all such execs. Invalidated by: nothing, an
   * environment never changes.
   */
  private emptyEnvironment: EnvironmentVariables | undefined;
  private readonly evaluation: Evaluation;
  private readonly absent: Int32Array;
  private readonly defaults: Standings;
  /**
   * The last default decision with undecided rules, reused because the next event usually leaves the same rules
   * undecided. Invalidated by: nothing, the undecided rules and the default decision are compared.
   */
  private lastUndecided: Decision;
  /** The default decision that `lastUndecided` was made of. */
  private undecidedOf: Decision;

  /** `slots`: the place of each variable's value. To be called by `compilingEvaluator` only. */
  constructor(
    asked: readonly PreparedRule[],
    slots: ReadonlyMap<string, number>,
    defaultAction: Action,
    defaultRuleset: string,
  ) {
    const words = (slots.size + 31) >> 5;
    this.names = [...slots.keys()].filter(isJudged);
    const late = this.names.map((name) => (isExpensive(name) ? readerOf(name) : undefined));
    this.readers = this.names.map((name) => presenceReaderOf(name) ?? readerOf(name));
    this.evaluation = {
      values: this.names.map(() => undefined),
      late,
      subject: undefined,
      ancestry: undefined,
    };
    const isEnvironmentSlot = (slot: number): boolean => isOfEnvironment(this.names[slot] ?? "");
    this.environmentSlots = [...this.names.keys()].filter(isEnvironmentSlot);
    this.otherSlots = [...this.names.keys()].filter((slot) => !isEnvironmentSlot(slot));
    this.environmentNames = this.names.filter(isEnvironmentVariable).map(nameInEnvironment);
    this.asked = asked.map(({ environmentFilter, ...rule }) => ({
      ...rule,
      needs: masks(rule.slots, words),
      needsVariableSet: environmentFilter !== undefined && !this.holdsInEmptyEnvironment(environmentFilter),
    }));
    this.all = [...this.asked.keys()];
    this.absent = new Int32Array(words);
    this.defaults = standingsOf({
      action: defaultAction,
      rule: DEFAULT_RULE,
      ruleset: defaultRuleset,
      severity: DEFAULT_SEVERITY,
      tags: noNames,
      matched: noNames,
      undecided: noNames,
    });
    [this.lastUndecided] = this.defaults;
    [this.undecidedOf] = this.defaults;
  }

  decide(subject: Subject, states?: RuleStates): Decision {
    return this.evaluate(subject, states, undefined);
  }

  decideAmong(subject: Subject, ids: readonly string[], states?: RuleStates): Decision {
    const decision = this.evaluate(subject, states, ids);
    return decision.rule === DEFAULT_RULE ? { ...decision, action: "allow" } : decision;
  }

  private evaluate(
    subject: Subject,
    states: RuleStates | undefined,
    ids: readonly string[] | undefined,
  ): Decision {
    const { evaluation } = this;
    const isEmpty = this.isEnvironmentEmpty(subject.facts);
    this.read(subject, isEmpty);
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
      if ((isEmpty && asked.needsVariableSet) || !asked.program(evaluation)) continue;
      if (ids === undefined || ids.includes(asked.rule.id)) {
        matched ??= [];
        matched.push(asked);
      }
      if (asked.rule.action === "allow") break;
    }
    evaluation.subject = undefined;
    evaluation.ancestry = undefined;
    return this.decisionOf(matched, undecided, subject, states);
  }

  /**
   * The environment was read, and each of the variables that are asked for was looked for and is not set. It is so for
   * nearly all execs.
   */
  private isEnvironmentEmpty({ environment, environmentTruncated }: ProcessFacts): boolean {
    if (environment === undefined || environmentTruncated !== false || this.environmentSlots.length === 0)
      return false;
    if (environment === this.emptyEnvironment) return true;
    for (const name of this.environmentNames) if (environment.get(name) !== null) return false;
    this.emptyEnvironment = environment;
    return true;
  }

  private holdsInEmptyEnvironment(filter: Program): boolean {
    for (const slot of this.environmentSlots) {
      const name = this.names[slot];
      this.evaluation.values[slot] = name === undefined ? undefined : judgedRow(name).ordinary;
    }
    return filter(this.evaluation);
  }

  /** `isEmpty`: the subject's environment is. Then the values are those of the last such subject. */
  private read(subject: Subject, isEmpty: boolean): void {
    const { evaluation, absent } = this;
    evaluation.subject = subject;
    evaluation.ancestry = undefined;
    absent.fill(0);
    this.readSlots(this.otherSlots, subject);
    if (!(isEmpty && this.hasEmptyEnvironment)) this.readSlots(this.environmentSlots, subject);
    this.hasEmptyEnvironment = isEmpty;
  }

  private readSlots(slots: readonly number[], subject: Subject): void {
    const { evaluation, absent } = this;
    for (const slot of slots) {
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
    subject: Subject,
    states: RuleStates | undefined,
  ): Decision {
    if (matched === undefined) {
      const decision = this.defaults[standingOf(this.defaults[0], subject, states)];
      return undecided === undefined ? decision : this.undecidedDecision(decision, undecided);
    }
    const deciding = matched.length === 1 ? aloneOf(matched[0], subject, states) : undefined;
    const decision = deciding ?? strongestOf(matched, subject, states);
    if (matched.length === 1 && undecided === undefined) return decision;
    return {
      ...decision,
      matched: matched.map(({ rule }) => rule.id),
      undecided:
        undecided === undefined ? noNames : this.undecidedDecision(this.undecidedOf, undecided).undecided,
    };
  }

  /** The default decision with these undecided rules. The list is the last one's if they are the same. */
  private undecidedDecision(decision: Decision, undecided: readonly string[]): Decision {
    const last = this.lastUndecided.undecided;
    const isSameList = undecided.length === last.length && undecided.every((rule, i) => rule === last[i]);
    if (isSameList && decision === this.undecidedOf) return this.lastUndecided;
    this.undecidedOf = decision;
    this.lastUndecided = { ...decision, undecided: isSameList ? last : undecided };
    return this.lastUndecided;
  }
}

interface PreparedRule extends Omit<EvaluatedRule, "needs" | "needsVariableSet"> {
  readonly slots: readonly number[];
  /** If this is false in an environment, `program` is. undefined if no part depends on the environment alone. */
  readonly environmentFilter: Program | undefined;
}

function aloneOf(
  evaluated: EvaluatedRule | undefined,
  subject: Subject,
  states: RuleStates | undefined,
): Decision | undefined {
  return evaluated?.alone[standingOf(evaluated.alone[0], subject, states)];
}

/** What the host lets the rule of `decision` do about this event. */
function standingOf(
  { action, ruleset, rule }: Decision,
  subject: Subject,
  states: RuleStates | undefined,
): Standing {
  if (action === "allow") return 0;
  const mayBeArmed = needsArming[action];
  if (states === undefined) return mayBeArmed ? ARMED : 0;
  const state = states.get(ruleKey({ ruleset, id: rule }));
  if (state === undefined) return 0;
  const isArmed = mayBeArmed && holdsFor(state.armed, subject);
  if (!holdsFor(state.silenced, subject)) return isArmed ? ARMED : 0;
  return isArmed ? 3 : SILENCED;
}

/**
 * The decision of the rule that names the verdict: of the strongest action, the armed before the others, those not
 * silenced before the silenced, then the higher severity, then the earlier rule. Otherwise a rule that does not act, or
 * of which nobody wants to be alerted, would hide one that does.
 */
function strongestOf(
  matched: readonly EvaluatedRule[],
  subject: Subject,
  states: RuleStates | undefined,
): Decision {
  let strongest = Number.NEGATIVE_INFINITY;
  for (const { rule } of matched) strongest = Math.max(strongest, strength(rule.action));
  let first: Decision | undefined;
  let areAllSilenced = true;
  for (const evaluated of matched) {
    if (strength(evaluated.rule.action) !== strongest) continue;
    const decision = evaluated.alone[standingOf(evaluated.alone[0], subject, states)];
    areAllSilenced &&= decision.silenced;
    if (first === undefined || comesBefore(decision, first)) first = decision;
  }
  if (first === undefined) throw new RangeError("no rule matched");
  return first.silenced === areAllSilenced ? first : { ...first, silenced: areAllSilenced };
}

function comesBefore(a: Decision, b: Decision): boolean {
  if (a.armed !== b.armed) return a.armed;
  if (a.silenced !== b.silenced) return !a.silenced;
  return severities.indexOf(a.severity) > severities.indexOf(b.severity);
}

function standingsOf(decision: Omit<Decision, "armed" | "silenced">): Standings {
  const of = (armed: boolean, silenced: boolean): Decision => ({ ...decision, armed, silenced });
  return [of(false, false), of(true, false), of(false, true), of(true, true)];
}

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
  const compiled = (part: Expression | undefined): Program | undefined => part && compiler.compile(part);
  const prefilter = compiled(decidedByLineage(asked));
  const environmentFilter = compiled(decidedByEnvironment(asked));
  const { action, ruleset, severity, tags, id } = rule;
  const alone = standingsOf({
    action,
    rule: id,
    ruleset,
    severity,
    tags,
    matched: Object.freeze([id]),
    undecided: noNames,
  });
  return { rule, program, prefilter, environmentFilter, alone, slots: [...names].map(slotOf) };
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
