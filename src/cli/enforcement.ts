// The enforcement of a run, and the rules that may act under it, printed before it starts.
import { type Config, configFile, type Enforcement } from "../config/config.ts";
import { actingRules, isArmedBy, patternsWithoutRule, ruleStatesOf } from "../enforcement/arming.ts";
import type { Overrides } from "../enforcement/overrides.ts";
import type { PolicyError } from "../policy/document.ts";
import type { Policy } from "../policy/policy.ts";
import { ruleKey } from "../policy/rule-state.ts";
import { localTimeOf } from "../report/local-time.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { hint, warn } from "./output.ts";

/** The settings that decide which rules may act. */
export type EnforcementSettings = Pick<Config, "enforcement" | "armed">;

/**
 * The enforcement in force: `observe` where the configuration names no armed rules, because a host must not kill by
 * rules that nobody has named. `asked`: the option `--enforcement`. `file`: the configuration file; undefined if there is none,
 * and then the command line arms every rule.
 */
export function enforcementOf(
  { enforcement: configured, armed }: EnforcementSettings,
  asked: Enforcement | undefined,
  file: string | undefined,
): EnforcementSettings {
  const enforcement = asked ?? configured;
  // `run` refuses `prevent`, which must not become `observe` before it does.
  if (enforcement === "observe" || enforcement === "prevent" || armed !== undefined)
    return { enforcement, armed };
  return file === undefined ? { enforcement, armed: "all" } : { enforcement: "observe", armed };
}

/** The reason why the warden only observes although another enforcement was asked for; undefined if it does not. */
export function whyOnlyObserved(
  settings: EnforcementSettings,
  asked: Enforcement | undefined,
  file: string | undefined,
): string | undefined {
  const wanted = asked ?? settings.enforcement;
  if (enforcementOf(settings, asked, file).enforcement === wanted) return undefined;
  return `enforcement ${wanted} needs \`armed\` in ${file ?? configFile}: until then treewarden only observes`;
}

/** What to write into the configuration, for hints. */
export const armedExample =
  "armed: [web/shell-under-web-server], or armed: all; armed: [] for `treewarden arm` alone";

/** An error for each pattern of `armed` that matches no rule of the policy. */
export function armedErrors(
  { armed }: EnforcementSettings,
  policy: Policy,
  file: string | undefined,
): readonly PolicyError[] {
  const names = policy.rules.map(ruleKey);
  return patternsWithoutRule(armed, policy).map((pattern) => {
    const meant = nearest(pattern, names);
    return {
      file: file ?? configFile,
      line: 0,
      column: 0,
      message: `armed: no rule matches ${pattern}`,
      fix: meant === undefined ? "treewarden policy show lists the rules" : `did you mean ${meant}?`,
    };
  });
}

/**
 * Prints each rule that may act, by the configuration or by an order of root's in `overrides`, and marks those that come
 * from another role.
 */
export function printWhatMayAct(
  { enforcement, armed }: EnforcementSettings,
  policy: Policy,
  overrides: Overrides,
): void {
  if (enforcement === "observe") return;
  const acting = actingRules(policy);
  const states = ruleStatesOf(policy, armed, overrides);
  const may = acting.filter((rule) => (states.get(ruleKey(rule))?.armed ?? false) !== false);
  warn(`enforcement ${enforcement}: ${may.length} of ${acting.length} rules that kill are armed`);
  for (const rule of may) {
    const facts: string[] = [rule.severity];
    if (rule.inherited) facts.push("inherited");
    if (!isArmedBy(armed, rule)) facts.push("armed by hand");
    if (states.get(ruleKey(rule))?.armed !== true) facts.push("not everywhere");
    warn(`  may kill: ${ruleKey(rule)} (${facts.join(", ")})`);
  }
  if (may.length < acting.length)
    hint("the others report would_kill; treewarden arm ROLE/RULE arms one of them");
  for (const { end } of overrides.pause) warn(`enforcement is paused until ${localTimeOf(end.wall * 1_000)}`);
}
