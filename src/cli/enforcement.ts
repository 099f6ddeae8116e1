// The enforcement of a run, and the rules that may act under it, printed before it starts.
import { configFile, type Enforcement } from "../config/config.ts";
import {
  actingRules,
  isArmedBy,
  type NamedRule,
  patternsWithoutRule,
  ruleStatesOf,
} from "../enforcement/arming.ts";
import {
  type ArmingSettings,
  type ConfiguredArming,
  observationText,
} from "../enforcement/configured-arming.ts";
import type { Overrides } from "../enforcement/overrides.ts";
import type { PolicyError } from "../policy/document.ts";
import type { Policy } from "../policy/policy.ts";
import { ruleKey } from "../policy/rule-state.ts";
import { localTimeOf } from "../report/local-time.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { hint, warn } from "./output.ts";
import { actingRulesText } from "./rules-text.ts";

/**
 * The enforcement in force: `observe` where the configuration names no armed rules, because a host must not kill by
 * rules that nobody has named. `asked`: the option `--enforcement`. `file`: the configuration file; undefined if there is none,
 * and then the command line arms every rule.
 */
export function enforcementOf(
  { enforcement: configured, ...settings }: ArmingSettings,
  asked: Enforcement | undefined,
  file: string | undefined,
): ArmingSettings {
  const { armed } = settings;
  const enforcement = asked ?? configured;
  if (enforcement === "observe" || armed !== undefined) return { ...settings, enforcement };
  // Who gives the option on the command line knows what it does: nothing waits to be confirmed.
  if (file === undefined) return { enforcement, armed: "all", armed_since_hours: 0 };
  return { ...settings, enforcement: "observe" };
}

/** The reason why the warden only observes although another enforcement was asked for; undefined if it does not. */
export function whyOnlyObserved(
  settings: ArmingSettings,
  asked: Enforcement | undefined,
  file: string | undefined,
): string | undefined {
  const wanted = asked ?? settings.enforcement;
  if (enforcementOf(settings, asked, file).enforcement === wanted) return undefined;
  return `enforcement ${wanted} needs \`armed\` in ${file ?? configFile}: until then treewarden only observes`;
}

/** What to do about rules that the configuration arms and that do not act yet. */
export const CONFIRM_HINT =
  "treewarden arm --confirm shows what they would hit, and lets them act; armed_since_hours: 0 lets such rules act at once";

/** What to write into the configuration, for hints. */
export const armedExample =
  "armed: [web/shell-under-web-server], or armed: all; armed: [] for `treewarden arm` alone";

/** An error for each pattern of `armed` that matches no rule of the policy. */
export function armedErrors(
  { armed }: Pick<ArmingSettings, "armed">,
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
      fix: meant === undefined ? "treewarden policy show ROLE lists the rules" : `did you mean ${meant}?`,
    };
  });
}

/**
 * Prints each rule that may act, by the configuration or by an order of root's in `overrides`, and marks those that come
 * from another role. `arming`: which of the rules that the configuration arms are confirmed.
 */
export function printWhatMayAct(
  { enforcement, armed, armed_since_hours }: ArmingSettings,
  policy: Policy,
  overrides: Overrides,
  arming: ConfiguredArming,
): void {
  if (enforcement === "observe") return;
  const acting = actingRules(policy);
  const confirmed = new Set(arming.confirmed.map(({ rule }) => rule));
  const mayAct = (rule: NamedRule): boolean => isArmedBy(armed, rule) && confirmed.has(ruleKey(rule));
  const states = ruleStatesOf(policy, mayAct, overrides);
  const may = acting.filter((rule) => (states.get(ruleKey(rule))?.armed ?? false) !== false);
  warn(`enforcement ${enforcement}: ${may.length} of ${acting.length} ${actingRulesText(acting)} are armed`);
  for (const rule of may) {
    const facts: string[] = [rule.severity];
    if (rule.inherited) facts.push("inherited");
    if (!mayAct(rule)) facts.push("armed by hand");
    if (states.get(ruleKey(rule))?.armed !== true) facts.push("not everywhere");
    warn(`  may ${rule.action}: ${ruleKey(rule)} (${facts.join(", ")})`);
  }
  for (const held of arming.held)
    warn(`  waits to be confirmed: ${held.rule} (${observationText(held, armed_since_hours)})`);
  if (arming.held.length > 0) hint(CONFIRM_HINT);
  if (may.length < acting.length)
    hint("the others report what they would do; treewarden arm ROLE/RULE arms one of them");
  for (const { end } of overrides.pause) warn(`enforcement is paused until ${localTimeOf(end.wall * 1_000)}`);
}
