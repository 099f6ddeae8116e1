// Which execs the sensor must hand over at once: only those that may be killed are worth a wake-up each.
import type { Enforcement } from "../config/config.ts";
import type { Policy } from "../policy/policy.ts";
import type { WakeupPolicy } from "../sensor/event.ts";
import type { VariableName } from "../vocabulary/variables.ts";

/**
 * What two execs have in common that a sensor takes for alike (Sensor.settle: same lineage, program, filename,
 * arguments and user). A kill that hangs on anything else can befall an exec that was settled before.
 */
const alike: ReadonlySet<VariableName> = new Set<VariableName>([
  "event.name",
  "process.executable.path",
  "process.executable.name",
  "process.executable.memfd",
  "process.command_args",
  "process.command_line",
  "process.user.id",
  "process.user.name",
  "process.runnable.path",
  "process.script.path",
  "process.script.inline",
  "process.parent.executable.path",
  "process.parent.executable.name",
  "process.parent.user.id",
  "tree.path",
  "tree.id",
  "tree.exact",
  "tree.labels",
  "tree.depth",
  "tree.user_ids",
  "tree.random",
  "tree.randomness",
  "tree.entropy",
  "tree.known",
  "tree.familiar",
  "tree.truncated",
]);

/** `none`: nothing is killed. `unsettled`: an exec like one that was let be need not hurry. `all`: every exec may be the one. */
export function wakeupPolicyOf(policy: Policy, enforcement: Enforcement): WakeupPolicy {
  if (enforcement === "observe") return "none";
  if (policy.defaults.exec === "kill") return "all";
  const kills = policy.rules.filter((rule) => rule.action === "kill" && rule.on.includes("exec"));
  if (kills.length === 0) return "none";
  return kills.every((rule) => rule.variables.isSubsetOf(alike)) ? "unsettled" : "all";
}
