// The decisions that a rule stands for, armed or not and silenced or not, and which of several matching rules decides.
import { severities } from "../vocabulary/severities.ts";
import type { CompiledRule, Decision } from "./policy.ts";
import { holdsFor, type RuleStates, ruleKey } from "./rule-state.ts";
import { type Action, actions, needsArming } from "./schema.ts";
import type { Subject } from "./subject.ts";

/** One decision for each standing that its rule may have for an event. */
export type Standings = readonly [Decision, Decision, Decision, Decision];
const ARMED = 1;
const SILENCED = 2;

/** Which of a rule's decisions holds: the sum of ARMED and SILENCED. */
type Standing = 0 | 1 | 2 | 3;

const strength = (action: Action): number => actions.indexOf(action);

/** Whether the rule of `decision` may act on this event, and alert. */
export function standingOf(
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

/** A rule and its decisions. */
export interface RuleStandings {
  readonly rule: Pick<CompiledRule, "action">;
  /** The decisions if this rule alone matched and none was undecided. */
  readonly alone: Standings;
}

/**
 * The decision of the rule that names the verdict: of the strongest action, the armed before the others, those not
 * silenced before the silenced, then the higher severity, then the earlier rule. Otherwise a rule that does not act, or
 * of which nobody wants to be alerted, would hide one that does.
 */
export function strongestOf(
  matched: readonly RuleStandings[],
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

/** The decisions of each standing that the rule of `decision` may have. */
export function standingsOf(decision: Omit<Decision, "armed" | "silenced">): Standings {
  const of = (armed: boolean, silenced: boolean): Decision => ({ ...decision, armed, silenced });
  return [of(false, false), of(true, false), of(false, true), of(true, true)];
}
