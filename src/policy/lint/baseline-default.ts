// Kill rules that match on a host without a baseline, because of the default of a variable.

import { Compiler } from "../compiler.ts";
import { type Expression, namesIn, namesTestedByMissing } from "../expression.ts";
import { actsOnTree } from "../schema.ts";
import type { Finding, LintedRule } from "./finding.ts";

/** Null on a host that never accepted a baseline. */
const baselineNames: ReadonlySet<string> = new Set(["tree.known", "tree.familiar"]);

/**
 * Exceptions are left out: one for what is known does not hold on a host without a baseline, which leaves the rule as
 * it is without it.
 */
export function killsByDefault(rules: readonly LintedRule[]): readonly Finding[] {
  return rules.flatMap(({ placed, condition }) => {
    if (!actsOnTree(placed.rule.action) || withoutBaseline(condition) === false) return [];
    const names = trueWithoutBaseline(placed.when, true);
    return names === undefined ? [] : [finding(placed, names)];
  });
}

function finding(rule: LintedRule["placed"], names: readonly string[]): Finding {
  const [name = "tree.known"] = names;
  return {
    rule,
    message: `rule "${rule.rule.id}" kills where there is no baseline: the default of ${names.join(" and ")} makes its condition true there`,
    fix: `give the default with which it does not match: { "!": { "var": ["${name}", true] } }, or { "var": ["${name}", false] }`,
  };
}

/** The variables of a part that depends on the baseline alone and that null fulfils; undefined if there is none. */
function trueWithoutBaseline(expression: Expression, positive: boolean): readonly string[] | undefined {
  const names = [...namesIn(expression)];
  if (!names.some((name) => baselineNames.has(name))) return undefined;
  if (expression.is === "call") {
    const { operator, parts } = expression;
    if (operator === "and" || operator === "or" || operator === "!") {
      for (const part of parts) {
        const found = trueWithoutBaseline(part, operator === "!" ? !positive : positive);
        if (found !== undefined) return found;
      }
      return undefined;
    }
  }
  return answerOfNull(expression) === positive ? names : undefined;
}

/** What the expression is where there is no baseline; undefined if that depends on the event. */
function withoutBaseline(expression: Expression): boolean | undefined {
  if (expression.is === "call") {
    const { operator, parts } = expression;
    if (operator === "!") {
      const [part] = parts.map(withoutBaseline);
      return part === undefined ? undefined : !part;
    }
    if (operator === "and" || operator === "or") {
      const answers = parts.map(withoutBaseline);
      const deciding = operator === "or";
      if (answers.includes(deciding)) return deciding;
      return answers.includes(undefined) ? undefined : !deciding;
    }
  }
  return answerOfNull(expression);
}

/** The truth of a part that depends on the baseline alone, on a host without one; undefined for any other part. */
function answerOfNull(expression: Expression): boolean | undefined {
  const slots = [...new Set([...namesIn(expression), ...namesTestedByMissing(expression)])];
  if (!slots.every((name) => baselineNames.has(name)) || !isOfVariables(expression)) return undefined;
  const compiler = new Compiler({ slotOf: (name) => slots.indexOf(name), isLate: () => false });
  const values = slots.map(() => null);
  return compiler.compile(expression)({ values, late: [], subject: undefined, ancestry: undefined });
}

/** The value depends on variables alone, not on the lineage. */
function isOfVariables(expression: Expression): boolean {
  if (["variable", "literal", "missing"].includes(expression.is)) return true;
  return expression.is === "call" && expression.parts.every(isOfVariables);
}
