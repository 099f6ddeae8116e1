// Which execs the sensor must hand over at once: only those that may be killed are worth a wake-up each.
import type { Enforcement } from "../config/config.ts";
import type { Policy } from "../policy/policy.ts";
import type { WakeupPolicy } from "../sensor/event.ts";
import { isCoveredBySettleKey } from "../vocabulary/variables.ts";

/**
 * `none`: nothing is killed. `unsettled`: no kill depends on anything but what the settle key covers, so an exec of a
 * settled key need not wake the reader. `all`: every exec may have to be killed.
 */
export function wakeupPolicyOf(policy: Policy, enforcement: Enforcement): WakeupPolicy {
  if (enforcement === "observe") return "none";
  if (policy.defaults.exec === "kill") return "all";
  const kills = policy.rules.filter((rule) => rule.action === "kill" && rule.on.includes("exec"));
  if (kills.length === 0) return "none";
  return kills.every(({ variables }) => [...variables].every(isCoveredBySettleKey)) ? "unsettled" : "all";
}
