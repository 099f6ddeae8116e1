// What the supervisor hands to a reporter that it starts, as one argument of JSON.
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

/** The supervisor's own words, made by `treewarden run` a moment ago. Throws a SyntaxError for anything else. */
export function parseOptions(text: string): ReporterOptions {
  const options: ReporterOptions = JSON.parse(text);
  return options;
}
