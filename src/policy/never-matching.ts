// Finds rules that cannot match, because the sensor in use never provides a variable that they name.
import { type SensorSource, sensors } from "../vocabulary/sensors.ts";
import { type JudgedVariable, listedName } from "../vocabulary/variables.ts";
import type { Policy } from "./policy.ts";

export interface NeverMatchingRule {
  readonly rule: string;
  /** The role whose file defines the rule. */
  readonly ruleset: string;
  /** The variables that the rule names and the sensor never provides. */
  readonly variables: readonly JudgedVariable[];
}

/**
 * The rules of `policy` that can never match under `source`. A rule that names an absent variable does not match
 * unless it has `"unknown": "match"`.
 */
export function neverMatching(policy: Policy, source: SensorSource): readonly NeverMatchingRule[] {
  const { neverKnown } = sensors[source];
  return policy.rules
    .filter((rule) => !rule.unknownMatches)
    .map(({ id, ruleset, variables }) => ({
      rule: id,
      ruleset,
      variables: [...variables].filter((name) => neverKnown.includes(listedName(name))),
    }))
    .filter(({ variables }) => variables.length > 0);
}

/** One line for a person. */
export function neverMatchingText(
  { rule, ruleset, variables }: NeverMatchingRule,
  source: SensorSource,
): string {
  return `${ruleset}/${rule} can never match: the source ${source} does not know ${variables.join(", ")}`;
}
