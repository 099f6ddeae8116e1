// The inputs of the warden.
import type { Config } from "../config/config.ts";
import type { Timer } from "../linux/timerfd.ts";
import type { PolicyError } from "../policy/document.ts";
import type { Policy } from "../policy/policy.ts";
import type { RoleBaseline } from "../policy/role-baseline.ts";
import type { OutputProblem } from "../report/output-problem.ts";
import type { HostNames } from "../sensor/network/host-names.ts";
import type { LastResort, OpenedSensor } from "../sensor/open.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import type { OwnPids, ProcessName } from "../vocabulary/processes.ts";
import type { SourceChoice } from "../vocabulary/sensors.ts";
import type { Steps } from "../vocabulary/steps.ts";
import type { LastGood } from "./last-good.ts";
import type { SigningTimes } from "./signed-policies.ts";
import type { Succession } from "./succession.ts";

/** A policy and the baselines that come with its roles. They are put into force together or not at all. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly baselines: readonly RoleBaseline[];
  /** When each role was signed; empty where policies need not be signed. */
  readonly signed: SigningTimes;
  /** Names of addresses, for `destination.name`. */
  readonly hostNames: HostNames;
}

export type PolicyResult =
  | ({ readonly ok: true; readonly lastGood: LastGood } & LoadedPolicy)
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/**
 * An order from the supervisor, a process that it has started again, the warden's end of a new socket pair, or the pids of
 * treewarden's processes.
 */
export type WardenOrder =
  | "reload"
  | "request"
  | "stop"
  | "hangup"
  | { readonly restarted: ProcessName; readonly ended: string }
  | { readonly link: "reporter" | "examiner"; readonly fd: number; readonly wasShutDown: boolean }
  | { readonly pids: OwnPids };

/** A configuration that was read again, with the options of the command line. */
export interface ReadSettings {
  readonly config: Config;
  readonly origin: ConfigurationOrigin;
}

export type SettingsResult =
  | { readonly ok: true; readonly settings: ReadSettings }
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/** The file that the configuration was read from; undefined where there is none, and these are the defaults. */
export interface ConfigurationOrigin {
  readonly file: string | undefined;
  /** SHA-256 of the file, as `sha256:` and 64 hexadecimal digits. */
  readonly digest: string | undefined;
  /** Why less is enforced than was asked for; undefined if that is not so. */
  readonly why: string | undefined;
}

export interface WardenOptions {
  /** The id of this run, the same across restarts of its processes. */
  readonly run: string;
  readonly config: Config;
  /** What is in force at the start. */
  readonly lastGood: LastGood;
  /** With which the run was started; the supervisor and the reporter have no other one. */
  readonly startConfig: Config;
  /** When the run started: milliseconds since the epoch. */
  readonly runStartedMs: number;
  /** Outputs that are off because their settings cannot be used. */
  readonly outputProblems: readonly OutputProblem[];
  readonly exponentialHistograms: boolean;
  /** Opens the source of events and subscribes to it. */
  readonly openSensor: (
    choice: SourceChoice,
    reader: FactsReader,
    lastResort: LastResort | undefined,
  ) => OpenedSensor;
  /** Prints a warning for the user who started treewarden. */
  readonly warn: (text: string) => void;
  /** Reads the configuration again. */
  readonly readSettings: () => Promise<SettingsResult>;
  /** Loads the policies of a configuration that was read again. */
  readonly loadingPolicy: (settings: ReadSettings) => Steps<PolicyResult>;
  /** Has the supervisor keep nothing of the source of events, which has failed, so that the next warden opens a new one. */
  readonly keepNothing: () => void;
  /** The warden's end of the socket pair to the reporter. */
  readonly reportFd: number;
  readonly controlFd: number;
  readonly readOrders: () => readonly WardenOrder[];
  /** Reports to the supervisor that the sensor is subscribed, and what is in force, as one line for people. */
  readonly reportWatching: (status: string) => void;
  /**
   * Asks the supervisor for another warden that replaces this one, with the rights of what is in force by then; false if
   * there is no supervisor that could.
   */
  readonly requestSuccessor: () => boolean;
  /** What this warden has prepared to replace another one; undefined if it does not. */
  readonly succession: Succession | undefined;
  /** The warden's end of the socket pair to the examiner. */
  readonly examinerFd: number;
  /**
   * A timer that is armed while the warden is not in its poll, and the interval in ns at which it expires then; null
   * without a supervisor.
   */
  readonly deadMan: { readonly timer: Timer; readonly intervalNs: number } | null;
}
