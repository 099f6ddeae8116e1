// The input and the output of the checks of lint.
import type { PlacedRule } from "../compile-policy.ts";
import type { RuleCondition } from "../policy.ts";

/** An enabled rule, its conditions as they were written, and both joined. */
export interface LintedRule extends RuleCondition {
  readonly placed: PlacedRule;
}

/** What is wrong with a rule, and how to fix it. */
export interface Finding {
  readonly rule: PlacedRule;
  readonly message: string;
  readonly fix: string;
}
