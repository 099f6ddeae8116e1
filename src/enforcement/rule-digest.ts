// A digest of what a rule matches, which distinguishes a rule that was changed from the one that was observed before.
import type { Policy } from "../policy/policy.ts";
import { ruleKey } from "../policy/rule-state.ts";
import { DEFAULT_RULE } from "../policy/schema.ts";
import { actingRules } from "./arming.ts";

/**
 * The SHA-256 of each rule that could act, by `ROLE/RULE`. It covers the condition, the exceptions and the lists that they
 * name, not the description or the severity. The default action matches what no rule does, so its digest is the policy's.
 */
export function ruleDigests(policy: Policy): ReadonlyMap<string, string> {
  const { rules, lists } = policy.resolved;
  const matching = new Map(
    rules.map(({ id, when, except, on, unknown }) => [String(id), { when, except, on, unknown }]),
  );
  const digests = new Map<string, string>();
  for (const rule of actingRules(policy)) {
    const text = JSON.stringify(matching.get(rule.id) ?? null);
    const named = Object.entries(lists).filter(([name]) => text.includes(JSON.stringify({ list: name })));
    const digest = rule.id === DEFAULT_RULE ? policy.digest : sha256(JSON.stringify([text, named]));
    digests.set(ruleKey(rule), digest);
  }
  return digests;
}

function sha256(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}
