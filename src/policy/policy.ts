// A policy in force, and what it decides about one event.
import { hasUserMounts } from "../fingerprint/identify.ts";
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
  isSharedByLineage,
  type JudgedVariable,
  judgedRow,
  needsContent,
  repeats,
} from "../vocabulary/variables.ts";
import { Compiler, computedValue, type Evaluation, type Program, someText } from "./compiler.ts";
import {
  callExpression,
  decidedByEnvironment,
  decidedByLineage,
  decidedByRepeated,
  type Expression,
  namesIn,
  namesTestedByMissing,
  possible,
  textGate,
  valueKinds,
} from "./expression.ts";
import { holdsFor, type RuleStates, ruleKey } from "./rule-state.ts";
import { type Action, actions, actsOnTree, DEFAULT_RULE, needsArming } from "./schema.ts";
import {
  presenceReaderOf,
  type Reader,
  readerOf,
  type Subject,
  type VariableValue,
  withoutPath,
} from "./subject.ts";

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
  // Otherwise whoever mounts a program over that of an exception, in a namespace of their own, could run it.
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

interface EvaluatedRule {
  readonly rule: CompiledRule;
  readonly program: Program;
  /**
   * If this is false, `program` is false for every event of the lineage. undefined if no part of the condition depends
   * on the lineage alone.
   */
  readonly prefilter: Program | undefined;
  /** The same for events of the lineage whose repeated variables have the same values. */
  readonly repeatedFilter: Program | undefined;
  /** If the test of the variable in this slot is false, so is `program`. */
  readonly gate: { readonly slot: number; readonly test: (text: string) => boolean } | undefined;
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
  /** The last event: the values of the slots in `repeatedSlots`, and whether its environment was empty. */
  readonly values: VariableValue[];
  hasEmptyEnvironment: boolean;
  /** Those of `rules` to evaluate for an event like the last one; undefined until there was another one like it. */
  repeatedRules: readonly number[] | undefined;
}

/** Marks a tree of which one event was judged: a prefilter pays off only from the second event on. */
const seenOnce: RulePrefilter = {
  absent: [],
  rules: [],
  values: [],
  hasEmptyEnvironment: false,
  repeatedRules: undefined,
};

const strength = (action: Action): number => actions.indexOf(action);
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
  /** The slots whose values mostly repeat within a lineage, without those that always do. */
  private readonly repeatedSlots: readonly number[];
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
  /** The slots without a value, as `needs`. */
  private readonly absent: Int32Array;
  private isAnyAbsent = false;
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
    const isRepeatedSlot = (slot: number): boolean => {
      const name = this.names[slot] ?? "";
      return repeats(name) && !isSharedByLineage(name);
    };
    this.repeatedSlots = [...this.names.keys()].filter(isRepeatedSlot);
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

  /** As `decide`, and nothing that is remembered of the tree is asked or changed. */
  decideAnew(subject: Subject, states?: RuleStates): Decision {
    return this.evaluate(subject, states, undefined, this.all);
  }

  decideAmong(subject: Subject, ids: readonly string[], states?: RuleStates): Decision {
    const decision = this.evaluate(subject, states, ids);
    return decision.rule === DEFAULT_RULE ? { ...decision, action: "allow" } : decision;
  }

  private evaluate(
    subject: Subject,
    states: RuleStates | undefined,
    ids: readonly string[] | undefined,
    only?: readonly number[],
  ): Decision {
    const { evaluation } = this;
    const isEmpty = this.isEnvironmentEmpty(subject.facts);
    this.read(subject, isEmpty);
    let matched: EvaluatedRule[] | undefined;
    let undecided: string[] | undefined;
    for (const i of only ?? this.rulesFor(subject.tree, isEmpty)) {
      const asked = this.asked[i];
      if (asked === undefined) continue;
      if (this.isAnyAbsent && this.isUndecided(asked)) {
        undecided ??= [];
        undecided.push(asked.rule.id);
        continue;
      }
      if ((isEmpty && asked.needsVariableSet) || !this.opens(asked) || !asked.program(evaluation)) continue;
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
    if (this.isAnyAbsent) absent.fill(0);
    this.isAnyAbsent = false;
    this.readSlots(this.otherSlots, subject);
    if (!(isEmpty && this.hasEmptyEnvironment)) this.readSlots(this.environmentSlots, subject);
    this.hasEmptyEnvironment = isEmpty;
  }

  private readSlots(slots: readonly number[], subject: Subject): void {
    const { evaluation, absent } = this;
    for (const slot of slots) {
      const value = this.readers[slot]?.(subject);
      evaluation.values[slot] = value;
      if (value !== undefined) continue;
      absent[slot >> 5] = (absent[slot >> 5] ?? 0) | (1 << (slot & 31));
      this.isAnyAbsent = true;
    }
  }

  /**
   * The indices of the rules to evaluate for the current subject. Most execs repeat a lineage, and most rules concern
   * programs that the lineage does not run. For a tree that occurs once a prefilter would cost more than it saves.
   */
  private rulesFor(tree: Tree, isEmpty: boolean): readonly number[] {
    const known = this.prefilters.get(tree);
    if (known === seenOnce) return this.prefilterFor(tree, isEmpty).rules;
    if (known === undefined || !this.isAbsent(known.absent)) {
      this.prefilters.set(tree, seenOnce);
      return this.all;
    }
    if (!this.isLikeLast(known, isEmpty)) return known.rules;
    return known.repeatedRules ?? this.repeatedRules(known);
  }

  // These two have closures, for which the runtime makes an object at each call: they are not called for each event.
  private prefilterFor(tree: Tree, isEmpty: boolean): RulePrefilter {
    const made: RulePrefilter = {
      absent: [...this.absent],
      rules: this.all.filter((i) => this.canMatter(i, "prefilter")),
      values: this.repeatedSlots.map((slot) => this.evaluation.values[slot]),
      hasEmptyEnvironment: isEmpty,
      repeatedRules: undefined,
    };
    this.prefilters.set(tree, made);
    return made;
  }

  private repeatedRules(known: RulePrefilter): readonly number[] {
    const rules = known.rules.filter((i) => {
      if (known.hasEmptyEnvironment && this.isDecidedByEmptyEnvironment(i)) return false;
      return this.canMatter(i, "repeatedFilter");
    });
    known.repeatedRules = rules;
    return rules;
  }

  /** Whether the current subject has the values of the last one of its tree. Remembers them otherwise. */
  private isLikeLast(last: RulePrefilter, isEmpty: boolean): boolean {
    const { repeatedSlots } = this;
    const { values } = this.evaluation;
    let isLike = last.hasEmptyEnvironment === isEmpty;
    for (let i = 0; i < repeatedSlots.length; i++) {
      const value = values[repeatedSlots[i] ?? 0];
      if (last.values[i] === value) continue;
      last.values[i] = value;
      isLike = false;
    }
    if (isLike) return true;
    last.hasEmptyEnvironment = isEmpty;
    last.repeatedRules = undefined;
    return false;
  }

  private isDecidedByEmptyEnvironment(index: number): boolean {
    const asked = this.asked[index];
    return asked?.needsVariableSet === true && !this.isUndecided(asked);
  }

  private canMatter(index: number, filter: "prefilter" | "repeatedFilter"): boolean {
    const asked = this.asked[index];
    const program = asked?.[filter];
    if (asked === undefined || program === undefined || this.isUndecided(asked)) return true;
    return program(this.evaluation);
  }

  /** The rule's cheap test of a text holds; without one the whole condition decides. */
  private opens({ gate }: EvaluatedRule): boolean {
    return gate === undefined || someText(computedValue(this.evaluation, gate.slot), gate.test);
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

/** Whether the rule of `decision` may act on this event, and alert. */
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
  const asked: PreparedRule[] = [];
  // An engine takes a tenth of a millisecond, and most policies have no rules on most kinds of events.
  const compiler = rules.length === 0 ? undefined : new Compiler({ slotOf, isLate: isExpensive });
  for (const rule of rules) {
    if (compiler !== undefined) asked.push(prepare(rule, compiler, slotOf));
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
  const ofLineage = decidedByLineage(asked);
  const ofRepeated = decidedByRepeated(asked);
  const prefilter = compiled(ofLineage);
  const isSame = JSON.stringify(ofLineage) === JSON.stringify(ofRepeated);
  const repeatedFilter = isSame ? prefilter : compiled(ofRepeated);
  const text = textGate(asked);
  const gate = text && { slot: slotOf(text.name), test: text.test };
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
  const slots = [...names].map(slotOf);
  return { rule, program, prefilter, repeatedFilter, gate, environmentFilter, alone, slots };
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
