// Rules that can never match, and rules that match everything.
import type { Finding, LintedRule } from "./finding.ts";
import type { Logic } from "./logic.ts";

/** Rules whose condition contradicts itself or one of their exceptions. */
export function neverTrue(rules: readonly LintedRule[], logic: Logic): readonly LintedRule[] {
  return rules.filter(({ rule, condition }) => isDecided(rule) && logic.isNever(condition));
}

export function neverTrueFinding({ placed }: LintedRule): Finding {
  const exceptions = placed.except.length === 0 ? "" : " and none of its exceptions";
  return {
    rule: placed,
    message: `rule "${placed.rule.id}" can never match: no process fulfils its condition${exceptions}`,
    fix: "one part excludes another, or a value that the variable never has (a name has no slash): correct it, or remove the rule",
  };
}

/** Rules whose condition excludes no event. */
export function alwaysTrue(rules: readonly LintedRule[], logic: Logic): readonly LintedRule[] {
  return rules.filter(({ rule, condition }) => isDecided(rule) && logic.isAlways(condition));
}

export function alwaysTrueFinding({ placed, rule }: LintedRule): Finding {
  const { id, action } = placed.rule;
  const names = [...rule.variables];
  const where =
    names.length === 0 ? "" : ` of which ${names.join(", ")} ${names.length === 1 ? "is" : "are"} known`;
  return {
    rule: placed,
    message: `rule "${id}" matches every exec${where}`,
    fix: `narrow its condition, or remove it and set "default": "${action}"`,
  };
}

/** With `"unknown": "match"` a condition is also true where it could not be decided. */
function isDecided({ unknownMatches, variables }: LintedRule["rule"]): boolean {
  return !unknownMatches || variables.size === 0;
}
