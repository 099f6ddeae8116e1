// A rule with its condition compiled, and with cheaper tests by which most events need not ask the condition.
import type { Compiler, Program } from "./compiler.ts";
import {
  decidedByEnvironment,
  decidedByLineage,
  decidedByRepeated,
  type Expression,
  namesIn,
  namesTestedByMissing,
  possible,
  textGate,
} from "./expression.ts";
import type { CompiledRule, RuleCondition } from "./policy.ts";
import { type Standings, standingsOf } from "./standings.ts";

export interface EvaluatedRule {
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

/** A rule of which its evaluator has not yet derived what depends on all its rules. */
export interface PreparedRule extends Omit<EvaluatedRule, "needs" | "needsVariableSet"> {
  readonly slots: readonly number[];
  /** If this is false in an environment, `program` is. undefined if no part depends on the environment alone. */
  readonly environmentFilter: Program | undefined;
}

/** For decisions that have no rules to name, so that they need no lists of their own. */
export const noNames: readonly string[] = Object.freeze([]);

/** Compiles the rule; `slotOf`: the place of a variable's value. */
export function prepareRule(
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
