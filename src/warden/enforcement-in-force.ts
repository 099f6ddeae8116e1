// What verdicts may do at present: the enforcement, and the rules that are armed.
import type { Config, Enforcement } from "../config/config.ts";
import { configuredStates } from "../enforcement/arming.ts";
import type { Policy } from "../policy/policy.ts";
import type { RuleStates } from "../policy/rule-state.ts";
import type { Totals } from "../report/totals.ts";

export class EnforcementInForce {
  readonly enforcement: Enforcement;
  private readonly armed: Config["armed"];
  private readonly totals: Totals;
  private current: RuleStates = new Map();

  constructor({ enforcement, armed }: Pick<Config, "enforcement" | "armed">, policy: Policy, totals: Totals) {
    this.enforcement = enforcement;
    this.armed = armed;
    this.totals = totals;
    this.apply(policy);
  }

  /** Which rules are armed, by their keys. */
  get states(): RuleStates {
    return this.current;
  }

  /** To be called with each policy that is put into force. */
  apply(policy: Policy): void {
    this.current = configuredStates(policy, this.armed);
    let armed = 0;
    for (const state of this.current.values()) if (state.armed !== false) armed += 1;
    this.totals.gauge("armedRules", {}).set(this.enforcement === "observe" ? 0 : armed);
  }
}
