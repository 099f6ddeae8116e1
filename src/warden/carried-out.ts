// What a verdict comes to.
import type { Outcome, Reason } from "../enforcement/outcome.ts";
import type { Decision } from "../policy/policy.ts";

export interface CarriedOut {
  readonly outcome: Outcome;
  readonly reason: Reason | undefined;
}

export const allowed: CarriedOut = { outcome: "allowed", reason: undefined };
const alerted: CarriedOut = { outcome: "alerted", reason: undefined };
const silenced: CarriedOut = { outcome: "silenced", reason: undefined };
export const prevented: CarriedOut = { outcome: "prevented", reason: undefined };
/** The kernel has ended a program that the policy allows. */
export const mismatched: CarriedOut = { outcome: "prevented", reason: "mismatch" };
const wouldStop: CarriedOut = { outcome: "would_stop", reason: undefined };
const wouldKill: CarriedOut = { outcome: "would_kill", reason: undefined };
const wouldDeny: CarriedOut = { outcome: "would_deny", reason: undefined };

/** What an alert, a denial, a stop or a kill comes to that is not carried out. */
export function reportedOnly({ action, silenced: isSilenced }: Decision): CarriedOut {
  if (isSilenced) return silenced;
  if (action === "kill") return wouldKill;
  if (action === "stop") return wouldStop;
  return action === "deny" ? wouldDeny : alerted;
}
