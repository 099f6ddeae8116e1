// Rules that are never reached, because an earlier `allow` matches whatever they match.
import { formatPlace } from "../document.ts";
import type { Finding, LintedRule } from "./finding.ts";
import type { Logic } from "./logic.ts";

/** The rules that an earlier allow shadows, each with the first rule that does. */
export function shadowed(rules: readonly LintedRule[], logic: Logic): readonly Finding[] {
  const allows: LintedRule[] = [];
  const findings: Finding[] = [];
  for (const rule of rules) {
    const by = allows.find((allow) => shadows(allow, rule, logic));
    if (by !== undefined) findings.push(shadowedFinding(rule, by));
    else if (rule.rule.action === "allow") allows.push(rule);
  }
  return findings;
}

function shadows(allow: LintedRule, later: LintedRule, logic: Logic): boolean {
  if (!later.rule.on.every((kind) => allow.rule.on.includes(kind))) return false;
  // A rule that names an absent variable does not match. Whatever the later rule needs, the allow must not need more.
  const known = later.rule.unknownMatches ? noNames : later.rule.variables;
  for (const name of allow.rule.variables) if (!known.has(name)) return false;
  return later.rule.unknownMatches
    ? logic.isAlways(allow.condition)
    : logic.implies(later.condition, allow.condition);
}

const noNames: ReadonlySet<string> = new Set();

function shadowedFinding({ placed }: LintedRule, { placed: by }: LintedRule): Finding {
  const { document, node } = by.definition;
  const place = formatPlace(document.errorAt(node, ""));
  return {
    rule: placed,
    message: `rule "${placed.rule.id}" is never reached: the allow rule "${by.rule.id}" (${place}) matches whatever it matches`,
    fix:
      placed.rule.ruleset === by.rule.ruleset
        ? "put it before that rule, narrow that rule, or remove it"
        : `narrow that rule, or disable this one: "override": { "${placed.rule.id}": { "enabled": false } }`,
  };
}
