// When an exclusion or a change window ends, as its file has it: in whole seconds.
import type { BootEnd } from "../../baseline/exclusions.ts";
import { endAfter, type Moment } from "../../vocabulary/moment.ts";

/** The end of what lasts `seconds` from `now`, by the wall clock and by the boot clock. A negative duration counts as 0. */
export function exclusionEnd(
  seconds: number,
  now: Moment,
): { readonly until: number; readonly bootEnd: BootEnd } {
  const { wall, boot, boottime, length } = endAfter(Math.max(0, Math.floor(seconds)), now);
  return { until: Math.floor(wall), bootEnd: { boot, boottime: Math.floor(boottime), length } };
}
