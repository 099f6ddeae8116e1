// What a sensor is asked to report of the network.
import type { NetworkKind } from "../event.ts";
import type { NetworkFilters } from "./filters.ts";

export interface NetworkWatch {
  /** The kinds that are reported. */
  readonly kinds: readonly NetworkKind[];
  readonly filters: NetworkFilters;
}
