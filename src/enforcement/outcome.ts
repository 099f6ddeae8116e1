// The outcome of a verdict. Both lists are closed, because metrics use them as attributes.

/** `policy.outcome` */
export const outcomes = [
  "allowed",
  "alerted",
  "would_stop",
  "stopped",
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
  treewarden: "treewarden never kills itself, and denies itself nothing",
  kernel_thread: "a kernel thread cannot be killed",
  preexisting:
    "the process was there before treewarden first started in this boot, and runs what it ran then or what is known",
  spared_session: "the process belongs to a session of the rescue user, or of root on the console",
  rate_limited: "the kill budget was used up: too many offenders in the last minute",
  too_many_stopped: "as many trees are stopped as may be, on this host or of this user",
  gone: "the process had ended",
  not_permitted: "the kernel refused the signal",
  already_done:
    "the kernel cannot decide the rule by itself: it was done before the verdict, and is reported only",
  mismatch:
    "the kernel ended it before its first instruction, and the policy would not: a defect of treewarden, or a file that another took the place of",
  late: "an answer that the rule needs came after the first verdict: it is reported, and not carried out",
} as const;
export type Reason = keyof typeof reasons;
