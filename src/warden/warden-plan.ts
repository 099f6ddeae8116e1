// What the supervisor hands to a warden that it starts, as JSON.
import type { Config } from "../config/config.ts";

export interface WardenPlan {
  /** Names the run; also how the processes of one run know each other. */
  readonly run: string;
  readonly config: Config;
}

/** The supervisor's own words, made by `treewarden run` a moment ago. Throws a SyntaxError for anything else. */
export function parseWardenPlan(text: string): WardenPlan {
  const plan: WardenPlan = JSON.parse(text);
  return plan;
}
