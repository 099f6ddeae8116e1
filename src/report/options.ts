// What the supervisor hands to a reporter that it starts, as JSON.
import type { Config } from "../config/config.ts";

export type OutputFormat = "json" | "pretty" | "none";

export interface ReporterOptions {
  /** Names the run; the same through every restart of its processes. */
  readonly run: string;
  readonly config: Config;
  readonly output: OutputFormat;
  /** Standard output may have colour. */
  readonly colour: boolean;
}

/** All that a reporter is started with. */
export interface ReporterPlan {
  readonly options: ReporterOptions;
  /** Variables to read as if they stood in its environment, where others could read them. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The supervisor's own words, made by `treewarden run` a moment ago. Throws a SyntaxError for anything else. */
export function parseOptions(text: string): ReporterPlan {
  const plan: ReporterPlan = JSON.parse(text);
  return plan;
}
