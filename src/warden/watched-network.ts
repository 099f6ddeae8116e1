// What is watched of the network: what the configuration asks for, and what rules in force are on.
import type { Config } from "../config/config.ts";
import type { Policy } from "../policy/policy.ts";
import { watchedKinds } from "../sensor/network/filters.ts";
import { type NetworkWatch, networkWatch } from "../sensor/network/watch.ts";
import { type NetworkKind, networkKinds } from "../vocabulary/event-kinds.ts";

export class WatchedNetwork {
  /** In force; another configuration may take its place. */
  settings: Config["network"];
  /** What was wanted last. */
  current: NetworkWatch | undefined;

  constructor(settings: Config["network"]) {
    this.settings = settings;
  }

  /** Whether each event of this kind is reported, whatever the policy decides. */
  isReported(kind: NetworkKind): boolean {
    const { watch } = this.settings;
    return Array.isArray(watch) && watch.includes(kind);
  }

  /** What a sensor is to watch under `policy`; undefined: nothing, and then it costs nothing. */
  wantedBy(policy: Policy): NetworkWatch | undefined {
    const { settings } = this;
    const kinds = watchedKinds(settings.watch, kindsJudgedBy(policy));
    this.current = kinds.length === 0 ? undefined : networkWatch(kinds, settings);
    return this.current;
  }
}

/** The kinds of which `policy` decides otherwise than to allow everything. */
function kindsJudgedBy({ rules, defaults }: Policy): ReadonlySet<NetworkKind> {
  const isJudged = (kind: NetworkKind): boolean =>
    defaults[kind] !== "allow" || rules.some(({ on, action }) => on.includes(kind) && action !== "allow");
  return new Set(networkKinds.filter(isJudged));
}
