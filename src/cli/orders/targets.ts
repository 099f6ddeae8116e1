// What an order of root's concerns: a rule, a unit, a user, a tree.
import type { Config } from "../../config/config.ts";
import type { ArmTarget } from "../../enforcement/overrides.ts";
import { unitOf } from "../../linux/cgroup-names.ts";
import { printable } from "../../linux/text.ts";
import { compileTreeGlob } from "../../policy/glob.ts";
import { defaultRulesetOf, type Policy } from "../../policy/policy.ts";
import { ruleKey } from "../../policy/rule-state.ts";
import { DEFAULT_RULE } from "../../policy/schema.ts";
import { messageOf } from "../../vocabulary/errors.ts";
import { nearest } from "../../vocabulary/nearest.ts";
import type { UsableConfig } from "../host-settings.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import { loadSettings } from "../policies.ts";

/** Rules, and the place where they are armed; null: everywhere. */
export interface ArmedRules extends Pick<ArmTarget, "unit" | "user"> {
  readonly rules: readonly string[];
}

/** The policy in force on this host. Throws a CommandError if it has errors. */
export function policyOrRefuse(config: Config): Policy {
  const result = loadSettings(config, "to decide");
  if (result.ok) return result.policy;
  throw new CommandError(
    exitCodes.usage,
    "the policy has errors, so that nothing can be armed",
    "treewarden policy check shows them",
  );
}

/** The rule's full name. A name that the policy does not have is an error with the nearest one. */
export function ruleNamed(name: string, policy: Policy): string {
  const byDefault = { ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE };
  const keys = [...policy.rules, byDefault].map(ruleKey);
  const found = keys.filter((key) => key === name || key.endsWith(`/${name}`));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const meant = nearest(name, keys);
  throw new CommandError(
    exitCodes.usage,
    found.length > 1
      ? `${printable(name)} can be ${found.join(" or ")}`
      : `there is no rule ${printable(name)}`,
    meant === undefined ? "treewarden policy show ROLE lists the rules" : `did you mean ${meant}?`,
  );
}

/** As `ruleNamed`, but with a policy that has errors the name is believed: less must always be possible. */
export function ruleToHold(name: string, { config, files }: UsableConfig): string {
  const result = loadSettings(config, "to decide", files);
  if (result.ok) return ruleNamed(name, result.policy);
  if (!/^[A-Za-z0-9][\w.+-]*\/[A-Za-z0-9][\w.-]*$/.test(name))
    throw new CommandError(exitCodes.usage, `${printable(name)} must be ROLE/RULE`);
  warn("the policy has errors, so that the rule's name cannot be checked");
  return name;
}

/** The unit as processes show it: without the name of an instance. */
export function unitNamed(unit: string | undefined): string | null {
  if (unit === undefined) return null;
  const folded = unitOf(`/system.slice/${unit}`);
  if (folded === null || unit.includes("/"))
    throw new CommandError(
      exitCodes.usage,
      `--unit must be a unit such as nginx.service, not ${printable(unit)}`,
      "process.unit in the records names them",
    );
  return folded;
}

/** A pattern of `--tree`. Throws a CommandError if it is not one. */
export function treeGlob(pattern: string): string {
  try {
    compileTreeGlob(pattern);
    return pattern;
  } catch (error) {
    throw new CommandError(exitCodes.usage, `--tree ${printable(pattern)}: ${messageOf(error)}`);
  }
}

/** For a person: " in nginx.service for user 33"; empty if it is everywhere. */
export function placeText(unit: string | null, user: number | null): string {
  return `${unit === null ? "" : ` in ${unit}`}${user === null ? "" : ` for user ${user}`}`;
}
