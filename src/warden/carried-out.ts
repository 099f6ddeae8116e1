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
const wouldKill: CarriedOut = { outcome: "would_kill", reason: undefined };
const wouldDeny: CarriedOut = { outcome: "would_deny", reason: undefined };

/** What an alert, a denial or a kill comes to that is not carried out. */
export function reportedOnly({ action, silenced: isSilenced }: Decision): CarriedOut {
  if (isSilenced) return silenced;
  if (action === "kill") return wouldKill;
  return action === "deny" ? wouldDeny : alerted;
}
