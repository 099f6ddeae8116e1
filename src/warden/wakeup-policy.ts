// Decides which execs the sensor must deliver at once. Only an event that may lead to a kill, or to
// networks that the kernel must refuse the process, justifies a wake-up.

import { DenialCompiler } from "../policy/denials.ts";
import type { Policy } from "../policy/policy.ts";
import { defaultRulesetOf } from "../policy/policy.ts";
import { type RuleStates, ruleKey } from "../policy/rule-state.ts";
import { actsOnTree, DEFAULT_RULE } from "../policy/schema.ts";
import type { WakeupPolicy } from "../sensor/event.ts";
import { isCoveredBySettleKey, needsContent } from "../vocabulary/variables.ts";

/** From the one that delays no event to the one that delays them all. */
const promptestFirst: readonly WakeupPolicy[] = ["all", "unsettled", "none"];

/**
 * The wake-up policy that is prompt enough for every rule. `none`: nothing is killed or denied in the kernel, and no rule
 * is about the content of a file. `unsettled`: kills and denials depend only on variables that the settle key covers, so an
 * exec with a settled key need not wake the reader, and execs whose content decides are not settled. `all`: any exec may
 * lead to a kill or a denial.
 * `states`: undefined while nothing may act.
 */
export function wakeupPolicyOf(policy: Policy, states: RuleStates | undefined): WakeupPolicy {
  // A file is opened while its process runs: it may be restored a moment later.
  const forContents: WakeupPolicy = [...policy.variables].some(needsContent) ? "unsettled" : "none";
  if (states === undefined) return forContents;
  const needed = [forContents, killWakeup(policy, states), denialWakeup(policy, states)];
  return promptestFirst.find((candidate) => needed.includes(candidate)) ?? "none";
}

/** Whether any rule may act. */
export function isAnyArmed(states: RuleStates): boolean {
  return [...states.values()].some(({ armed }) => armed !== false);
}

/** Whether anything may be stopped. */
export function mayStop(policy: Policy, states: RuleStates): boolean {
  const byDefault = { ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE };
  if (policy.defaults.exec === "stop" && mayRuleAct(states, byDefault)) return true;
  return policy.rules.some((rule) => rule.action === "stop" && mayRuleAct(states, rule));
}

function mayRuleAct(states: RuleStates, rule: { readonly ruleset: string; readonly id: string }): boolean {
  return (states.get(ruleKey(rule))?.armed ?? false) !== false;
}

function killWakeup(policy: Policy, states: RuleStates): WakeupPolicy {
  const mayAct = (rule: { readonly ruleset: string; readonly id: string }): boolean =>
    mayRuleAct(states, rule);
  if (mayAct({ ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE })) return "all";
  const rules = policy.rules.filter((rule) => rule.on.includes("exec"));
  const lastKill = rules.findLastIndex((rule) => actsOnTree(rule.action) && mayAct(rule));
  if (lastKill < 0) return "none";
  // An allow rule above a kill decides whether that is reached.
  const deciding = rules.slice(0, lastKill + 1).filter(({ action }) => action !== "alert");
  return deciding.every(({ read }) => [...read].every(isCoveredBySettleKey)) ? "unsettled" : "all";
}

/** What a process is denied begins with the exec, and the kernel knows it only once the exec was read. */
function denialWakeup(policy: Policy, states: RuleStates): WakeupPolicy {
  const compiler = new DenialCompiler(policy, states);
  if (compiler.isEmpty) return "none";
  return [...compiler.asked].every(isCoveredBySettleKey) ? "unsettled" : "all";
}
