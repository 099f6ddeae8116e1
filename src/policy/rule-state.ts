// What this host decides about each rule of a policy: whether it may act, and whether its verdicts are silenced.
import type { Subject } from "./subject.ts";

/** Either holds for every event or for none, or depends on the event. */
export type Holds = boolean | ((subject: Subject) => boolean);

export interface RuleState {
  /** The rule may act if the enforcement permits verdicts to act. */
  readonly armed: Holds;
  /** The users for whom alone it may act, if `armed` depends on the user. */
  readonly users?: readonly number[];
  /** Verdicts of the rule are recorded, and alert nobody. */
  readonly silenced: Holds;
}

/** By `ruleKey`. A rule that is not listed is neither armed nor silenced. */
export type RuleStates = ReadonlyMap<string, RuleState>;

/** The name by which users call a rule: ROLE/RULE, where the role is the one whose file holds the rule. */
export function ruleKey({ ruleset, id }: { readonly ruleset: string; readonly id: string }): string {
  return `${ruleset}/${id}`;
}

export function holdsFor(holds: Holds, subject: Subject): boolean {
  return typeof holds === "boolean" ? holds : holds(subject);
}
