// What a sensor is asked to report of the network.
import type { Config } from "../../config/config.ts";
import { parseDuration } from "../../vocabulary/duration.ts";
import type { NetworkKind } from "../../vocabulary/event-kinds.ts";
import { type NetworkFilters, networkFilters } from "./filters.ts";

export interface NetworkWatch {
  /** The kinds that are reported. */
  readonly kinds: readonly NetworkKind[];
  readonly filters: NetworkFilters;
  /** The longest time that a UDP session lasts, in seconds; absent: there is none. */
  readonly longestSession?: number | undefined;
}

/** What a sensor is asked for. `kinds`: at least one. */
export function networkWatch(kinds: readonly NetworkKind[], config: Config["network"]): NetworkWatch {
  const { max_duration } = config.send;
  const longestSession = max_duration === "off" ? undefined : parseDuration(max_duration);
  return { kinds, filters: networkFilters(config), longestSession };
}
