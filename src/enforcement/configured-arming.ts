// Which of the rules that the configuration arms may act. A rule that is newly named in `armed` acts only if it was
// observed for long enough and matched nothing that the host is known to run, or if root confirms it.
import type { Config } from "../config/config.ts";
import type { Policy } from "../policy/policy.ts";
import { ruleKey } from "../policy/rule-state.ts";
import { actingRules, isArmedBy } from "./arming.ts";
import type { ConfirmOrder } from "./overrides.ts";
import { ruleDigests } from "./rule-digest.ts";

export type ArmingSettings = Pick<Config, "enforcement" | "armed" | "armed_since_hours">;

/** How long a rule was in force without loss of events, and what it matched meanwhile. */
export interface ObservedRule {
  /** See `ruleDigests`. */
  readonly digest: string;
  readonly seconds: number;
  /** Execs that it matched of trees that the baseline knows, or that cannot be compared with a baseline. */
  readonly hits: number;
}

/** By `ROLE/RULE`. */
export type ObservedRules = ReadonlyMap<string, ObservedRule>;

/** `order`: root has confirmed it. `observation`: it was observed. `setting`: `armed_since_hours` was 0. */
export const confirmations = ["order", "observation", "setting"] as const;

/** A rule that the configuration arms and that may act. */
export interface ConfirmedRule {
  readonly rule: string;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly since: number;
  readonly by: (typeof confirmations)[number];
}

/** A rule that the configuration arms and that does not act before it is confirmed. */
export interface HeldRule extends ObservedRule {
  readonly rule: string;
}

export interface ConfiguredArming {
  readonly confirmed: readonly ConfirmedRule[];
  readonly held: readonly HeldRule[];
}

export interface ArmingInputs {
  readonly policy: Policy;
  readonly settings: ArmingSettings;
  /** The rules that were confirmed until now. */
  readonly before: readonly ConfirmedRule[];
  readonly observed: ObservedRules;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly now: number;
  /**
   * Whether what was observed may confirm a rule: at the start of a run and at a reload, which print it, and not when a
   * warden is restarted.
   */
  readonly mayConfirm: boolean;
}

/**
 * Which of the rules named in `armed` may act. A rule that is not named any more has to be confirmed again when it is.
 * While the enforcement is `observe`, nothing is confirmed and nothing waits for it.
 */
export function configuredArming({
  policy,
  settings,
  before,
  observed,
  now,
  mayConfirm,
}: ArmingInputs): ConfiguredArming {
  const named = actingRules(policy)
    .filter((rule) => isArmedBy(settings.armed, rule))
    .map(ruleKey);
  const confirmed = before.filter(({ rule }) => named.includes(rule));
  if (settings.enforcement === "observe") return { confirmed, held: [] };
  const isConfirmed = new Set(confirmed.map(({ rule }) => rule));
  const digests = ruleDigests(policy);
  const held: HeldRule[] = [];
  for (const rule of named) {
    if (isConfirmed.has(rule)) continue;
    const { seconds, hits } = observedAsItIs(rule, digests, observed);
    const isLongEnough = seconds >= settings.armed_since_hours * 3_600;
    if (settings.armed_since_hours === 0) confirmed.push({ rule, since: now, by: "setting" });
    else if (mayConfirm && isLongEnough && hits === 0)
      confirmed.push({ rule, since: now, by: "observation" });
    else held.push({ rule, digest: digests.get(rule) ?? "", seconds, hits });
  }
  return { confirmed, held };
}

/** `arming` after root has confirmed a rule; unchanged if that does not wait, or is another one than root confirmed. */
export function withConfirmed(
  arming: ConfiguredArming,
  { rule, digest }: Pick<ConfirmOrder, "rule" | "digest">,
  now: number,
): ConfiguredArming {
  if (!arming.held.some((held) => held.rule === rule && held.digest === digest)) return arming;
  return {
    confirmed: [...arming.confirmed, { rule, since: now, by: "order" }],
    held: arming.held.filter((held) => held.rule !== rule),
  };
}

/** What was observed of the rule as it is now; nothing if it was another one then. */
export function observedAsItIs(
  rule: string,
  digests: ReadonlyMap<string, string>,
  observed: ObservedRules,
): Pick<ObservedRule, "seconds" | "hits"> {
  const seen = observed.get(rule);
  return seen !== undefined && seen.digest === digests.get(rule) ? seen : { seconds: 0, hits: 0 };
}

/** For a person: "observed for 3.2 of 168 hours without loss, and matched 2 known programs". */
export function observationText(
  { seconds, hits }: Pick<ObservedRule, "seconds" | "hits">,
  hours: number,
): string {
  const wanted = hours === 0 ? "" : ` of ${hours}`;
  return `observed as it is now for ${(seconds / 3_600).toFixed(1)}${wanted} hours without loss, with ${hits} ${hits === 1 ? "hit" : "hits"}`;
}
