// Decides which execs the sensor must deliver at once. Only execs that may be killed justify a wake-up each.
import type { Enforcement } from "../config/config.ts";
import type { Policy } from "../policy/policy.ts";
import type { WakeupPolicy } from "../sensor/event.ts";
import { isCoveredBySettleKey } from "../vocabulary/variables.ts";

/**
 * `none`: nothing is killed. `unsettled`: kills depend only on variables that the settle key covers, so an exec with a
 * settled key need not wake the reader. `all`: any exec may have to be killed.
 */
export function wakeupPolicyOf(policy: Policy, enforcement: Enforcement): WakeupPolicy {
  if (enforcement === "observe") return "none";
  if (policy.defaults.exec === "kill") return "all";
  const kills = policy.rules.filter((rule) => rule.action === "kill" && rule.on.includes("exec"));
  if (kills.length === 0) return "none";
  return kills.every(({ variables }) => [...variables].every(isCoveredBySettleKey)) ? "unsettled" : "all";
}
