// What the host adds to a policy for each rule: whether it may act, and whether its verdicts are silenced.
import type { Subject } from "./subject.ts";

/** A fact about every event, or a test of one. */
export type Holds = boolean | ((subject: Subject) => boolean);

export interface RuleState {
  /** The rule may act under an enforcement that lets verdicts act. */
  readonly armed: Holds;
  /** A person has asked not to be alerted by the rule. */
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
