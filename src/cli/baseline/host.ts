// What the baseline's commands need of this host's settings.
import type { BaseSystem } from "../../fingerprint/base.ts";

export interface BaselineHost {
  readonly stateDirectory: string;
  /** The base list by which the programs of a capture are named; computed when it is needed. */
  readonly base: () => BaseSystem;
}
