// The outcome of a verdict. Both lists are closed, because metrics use them as attributes.

/** `policy.outcome` */
export const outcomes = [
  "allowed",
  "alerted",
  "would_kill",
  "killed",
  "would_prevent",
  "prevented",
  "would_deny",
  "denied",
  "withheld",
  "silenced",
  "failed",
] as const;
export type Outcome = (typeof outcomes)[number];

/** `policy.reason`: why a kill was withheld by a safeguard or failed, and what else is special about a verdict. */
export const reasons = {
  pid_1: "pid 1 is never killed",
  treewarden: "treewarden never kills itself",
  kernel_thread: "a kernel thread cannot be killed",
  preexisting:
    "the process was there before treewarden first started in this boot, and runs what it ran then or what is known",
  rate_limited: "the kill budget was used up: too many offenders in the last minute",
  gone: "the process had ended",
  not_permitted: "the kernel refused the signal",
  already_done:
    "the kernel cannot decide the rule by itself: it was done before the verdict, and is reported only",
  late: "an answer that the rule needs came after the first verdict: it is reported, and not carried out",
} as const;
export type Reason = keyof typeof reasons;
