// Finds rules that are valid and yet not what their author means. A finding is reported only if it can be shown to hold
// for every event.

import type { PlacedRule } from "./compile-policy.ts";
import type { PolicyError } from "./document.ts";
import { killsByDefault } from "./lint/baseline-default.ts";
import { alwaysTrue, alwaysTrueFinding, neverTrue, neverTrueFinding } from "./lint/constant.ts";
import type { Finding, LintedRule } from "./lint/finding.ts";
import { withoutLineageBound } from "./lint/lineage-bound.ts";
import { Logic } from "./lint/logic.ts";
import { shadowed } from "./lint/shadowed.ts";
import { ruleCondition } from "./policy.ts";

/**
 * Examines the enabled rules of a policy, in evaluation order: rules that can never match, that match every event, or
 * that an earlier allow shadows; kill rules that the default of a variable makes match on a host without a baseline, and
 * kill rules without a bound on the lineage. A rule has one finding at most, the first of these.
 */
export function lint(placedRules: readonly PlacedRule[]): readonly PolicyError[] {
  const logic = new Logic();
  const rules: readonly LintedRule[] = placedRules.map((placed) => ({ ...ruleCondition(placed), placed }));
  const findings: readonly Finding[] = [
    ...neverTrue(rules, logic).map(neverTrueFinding),
    ...alwaysTrue(rules, logic).map(alwaysTrueFinding),
    ...shadowed(rules, logic),
    ...killsByDefault(rules),
    ...withoutLineageBound(rules),
  ];
  const first = new Map<PlacedRule, Finding>();
  for (const finding of findings) if (!first.has(finding.rule)) first.set(finding.rule, finding);
  return placedRules.flatMap((rule) => {
    const finding = first.get(rule);
    if (finding === undefined) return [];
    const { document, node } = rule.definition;
    return [document.errorAt(node, finding.message, finding.fix)];
  });
}
