// The plan that the supervisor passes to a warden at its start, as JSON.
import type { Config } from "../config/config.ts";
import type { OutputProblem } from "../report/output-problem.ts";
import type { ConfigurationOrigin } from "./warden-options.ts";

/** The options of `run` that override the configuration file. */
export interface RunSettings {
  readonly config?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly policy?: readonly string[] | undefined;
  readonly source?: Config["source"] | undefined;
  readonly enforcement?: Config["enforcement"] | undefined;
  readonly listen?: string | undefined;
}

export interface WardenPlan {
  /** The id of the run, by which the processes of a run recognize each other. */
  readonly run: string;
  readonly config: Config;
  /** Where the configuration comes from. */
  readonly origin: ConfigurationOrigin;
  /** When the run started: milliseconds since the epoch. */
  readonly startedMs: number;
  /** The options of the run, with absolute paths: a reload applies them again. */
  readonly settings: RunSettings;
  /** Why the run begins with what was last in force; empty if it does not. */
  readonly problems: readonly string[];
  /** Outputs that are off because their settings cannot be used. */
  readonly outputProblems: readonly OutputProblem[];
  /** Whether histograms have exponential buckets too, which only OTLP can ask for. */
  readonly exponentialHistograms: boolean;
}

/** Parses a plan, which `treewarden run` has just written and so is trusted. Throws a SyntaxError if it is not JSON. */
export function parseWardenPlan(text: string): WardenPlan {
  const plan: WardenPlan = JSON.parse(text);
  return plan;
}
