// Rules that cannot match on this host, because the sensor in use never knows a variable that they name.
import { type SensorSource, sensors } from "../vocabulary/sensors.ts";
import type { JudgedVariable } from "../vocabulary/variables.ts";
import type { Policy } from "./policy.ts";

export interface NeverMatchingRule {
  readonly rule: string;
  /** The role whose file holds it. */
  readonly ruleset: string;
  /** The variables that it names and the sensor never knows. */
  readonly variables: readonly JudgedVariable[];
}

/**
 * The rules of `policy` that can never match under `source`. A rule that names an unknown variable is not matched,
 * unless it says `"unknown": "match"`.
 */
export function neverMatching(policy: Policy, source: SensorSource): readonly NeverMatchingRule[] {
  const { neverKnown } = sensors[source];
  return policy.rules
    .filter((rule) => !rule.unknownMatches)
    .map(({ id, ruleset, variables }) => ({
      rule: id,
      ruleset,
      variables: neverKnown.filter((name) => variables.has(name)),
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
