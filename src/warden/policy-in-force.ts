// The policy that the warden currently applies, and the metric that shows it.
import type { Policy } from "../policy/policy.ts";
import type { Totals } from "../report/totals.ts";

export class PolicyInForce {
  private readonly totals: Totals;
  private policy: Policy;
  /** When it was put into force: milliseconds since the epoch. */
  since = Date.now();

  constructor(policy: Policy, totals: Totals) {
    this.policy = policy;
    this.totals = totals;
    totals.gauge("policyInfo", this.summary()).set(1);
  }

  get current(): Policy {
    return this.policy;
  }

  replace(policy: Policy): void {
    this.totals.remove("policyInfo", this.summary());
    this.policy = policy;
    this.since = Date.now();
    this.totals.gauge("policyInfo", this.summary()).set(1);
  }

  /** The labels of the policy for the reporter and the metrics. */
  summary(): { readonly role: string; readonly version: string; readonly digest: string } {
    const { role, version, digest } = this.policy;
    return { role, version, digest };
  }
}
