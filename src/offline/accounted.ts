// What a process runs of which only the kernel's short name is known.
import { labelOf } from "../fingerprint/label.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { commOf } from "../sensor/acct/accounted-facts.ts";
import type { ProcessFacts } from "../sensor/event.ts";

/**
 * `identify`, with the short name where there is no executable. In brackets, as ps(1) shows a name that is not the
 * command's: a process gives itself any name it likes, so a rule about `nginx` must not take `[nginx]` for it.
 */
export function identifyAccounted(
  identify: (facts: ProcessFacts) => Runnable,
): (facts: ProcessFacts) => Runnable {
  return (facts) => {
    const comm = commOf(facts);
    const runnable = identify(facts);
    if (comm === undefined || facts.executable !== undefined) return runnable;
    const name = labelOf(`[${comm}]`);
    return { ...runnable, key: `\u0000comm ${comm}`, name, label: name };
  };
}
