// When an exclusion or a change window ends, as its file has it: in whole seconds.
import type { BootEnd } from "../../baseline/exclusions.ts";
import { endAfter, type Moment } from "../../vocabulary/moment.ts";

/** Both ends of what lasts `seconds` from `now` on; none at all if that is not positive. */
export function exclusionEnd(
  seconds: number,
  now: Moment,
): { readonly until: number; readonly bootEnd: BootEnd } {
  const { wall, boot, boottime, length } = endAfter(Math.max(0, Math.floor(seconds)), now);
  return { until: Math.floor(wall), bootEnd: { boot, boottime: Math.floor(boottime), length } };
}
