// What the warden is started with.
import type { Config } from "../config/config.ts";
import type { Timer } from "../linux/timerfd.ts";
import type { PolicyError } from "../policy/document.ts";
import type { Policy } from "../policy/policy.ts";
import type { RoleBaseline } from "../policy/role-baseline.ts";
import type { LastResort, OpenedSensor } from "../sensor/open.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import type { SourceChoice } from "../vocabulary/sensors.ts";

/** A policy and the baselines that come with its roles: both or neither are put into force. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly baselines: readonly RoleBaseline[];
}

export type PolicyResult =
  | ({ readonly ok: true } & LoadedPolicy)
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/** An order of the supervisor's. */
export type WardenOrder = "reload" | "request" | "stop" | "hangup";

export interface WardenOptions {
  /** Names this run through every restart of its processes. */
  readonly run: string;
  readonly config: Config;
  /** Opens the source of events: subscribed when it returns. */
  readonly openSensor: (
    choice: SourceChoice,
    reader: FactsReader,
    lastResort: LastResort | undefined,
  ) => OpenedSensor;
  /** Shows a warning to whoever started treewarden. */
  readonly warn: (text: string) => void;
  readonly loadPolicy: () => PolicyResult;
  /** The end of the pair to the reporter. */
  readonly reportFd: number;
  readonly controlFd: number;
  readonly readOrders: () => readonly WardenOrder[];
  /** The end of the pair to the examiner. */
  readonly examinerFd: number;
  /** Armed while the warden is away from its poll; null without a supervisor. */
  readonly deadMan: { readonly timer: Timer; readonly ns: number } | null;
}
