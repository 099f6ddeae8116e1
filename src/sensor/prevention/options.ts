// The options of prevention that a sensor is opened with.

/** Names of programs that run what their arguments name; src/fingerprint/carriers.ts has them (`carrierNames`). */
export interface CarrierNames {
  readonly exact: readonly string[];
  /** Beginnings of names, such as `python` for python3.11. */
  readonly prefixes: readonly string[];
}

export interface PreventionOptions {
  readonly carriers: CarrierNames;
  /** The most processes that can be closed at a time; more are open. Some 100 bytes of kernel memory each. */
  readonly processes?: number;
  /** Milliseconds after the last `Prevention.beat` from which every process is open; 0: never. */
  readonly limitMs?: number;
  /** Programs that this user executes in a session of its own are allowed, see src/warden/spared-sessions.ts. */
  readonly rescueUid?: number | undefined;
  /** The most different programs that are ended in a minute, see `Prevention.refusals`. */
  readonly maxPerMinute?: number;
}

export const CLOSED_PROCESSES = 65_536;
/** The time after which a warden that hangs is ended, and a new one begun. */
export const WITHOUT_WARDEN_MS = 15_000;
/** More different programs than a service starts at all, so that only a policy that is wrong, or is being abused, reaches it. */
export const ENDED_PER_MINUTE = 100;
