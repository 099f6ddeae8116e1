// The rules of a policy on one kind of event, evaluated for one event after the other.
import type { Tree } from "../fingerprint/tree.ts";
import type { EnvironmentVariables, ProcessFacts } from "../sensor/event.ts";
import { isEnvironmentVariable, nameInEnvironment } from "../vocabulary/environment.ts";
import { DEFAULT_SEVERITY } from "../vocabulary/severities.ts";
import type { Steps } from "../vocabulary/steps.ts";
import {
  isExpensive,
  isJudged,
  isOfEnvironment,
  isSharedByLineage,
  type JudgedVariable,
  judgedRow,
  repeats,
} from "../vocabulary/variables.ts";
import { Compiler, computedValue, type Evaluation, type Program, someText } from "./compiler.ts";
import { type EvaluatedRule, noNames, type PreparedRule, prepareRule } from "./evaluated-rule.ts";
import type { Decision, RuleCondition } from "./policy.ts";
import type { RuleStates } from "./rule-state.ts";
import { type Action, DEFAULT_RULE } from "./schema.ts";
import { type Standings, standingOf, standingsOf, strongestOf } from "./standings.ts";
import { presenceReaderOf, type Reader, readerOf, type Subject, type VariableValue } from "./subject.ts";

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

function aloneOf(
  evaluated: EvaluatedRule | undefined,
  subject: Subject,
  states: RuleStates | undefined,
): Decision | undefined {
  return evaluated?.alone[standingOf(evaluated.alone[0], subject, states)];
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
    if (compiler !== undefined) asked.push(prepareRule(rule, compiler, slotOf));
    yield;
  }
  return new RuleEvaluator(asked, slots, defaultAction, defaultRuleset);
}

function masks(slots: readonly number[], words: number): number[] {
  const needs = new Array<number>(words).fill(0);
  for (const slot of slots) needs[slot >> 5] = (needs[slot >> 5] ?? 0) | (1 << (slot & 31));
  return needs;
}
