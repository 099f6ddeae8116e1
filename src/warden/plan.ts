// What the supervisor hands to a warden that it starts, as one argument of JSON.
import type { Config } from "../config/config.ts";

export interface WardenPlan {
  /** Names the run; also how the processes of one run know each other. */
  readonly run: string;
  readonly config: Config;
}
