// Finds rules that cannot match, because the sensor in use never provides a variable that they name, or no event of a
// kind that they are on.
import type { JudgedKind } from "../vocabulary/event-kinds.ts";
import { type SensorSource, sensors } from "../vocabulary/sensors.ts";
import { type JudgedVariable, listedName } from "../vocabulary/variables.ts";
import type { Policy } from "./policy.ts";

export interface NeverMatchingRule {
  readonly rule: string;
  /** The role whose file defines the rule. */
  readonly ruleset: string;
  /** The variables that the rule names and the sensor never provides. */
  readonly variables: readonly JudgedVariable[];
  /** The kinds that the rule is on, if the sensor emits no event of any of them; otherwise none. */
  readonly kinds: readonly JudgedKind[];
}

/**
 * The rules of `policy` that can never match under `source`. A rule that names an absent variable does not match
 * unless it has `"unknown": "match"`.
 */
export function neverMatching(policy: Policy, source: SensorSource): readonly NeverMatchingRule[] {
  const { neverKnown, network } = sensors[source];
  return policy.rules
    .map(({ id, ruleset, variables, unknownMatches, on }) => ({
      rule: id,
      ruleset,
      variables: unknownMatches ? [] : [...variables].filter((name) => neverKnown.includes(listedName(name))),
      kinds: network || on.includes("exec") ? [] : on,
    }))
    .filter(({ variables, kinds }) => variables.length > 0 || kinds.length > 0);
}

/** One line for a person. */
export function neverMatchingText(
  { rule, ruleset, variables, kinds }: NeverMatchingRule,
  source: SensorSource,
): string {
  const why = kinds.length > 0 ? `emits no ${kinds.join(", ")}` : `does not know ${variables.join(", ")}`;
  return `${ruleset}/${rule} can never match: the source ${source} ${why}`;
}
