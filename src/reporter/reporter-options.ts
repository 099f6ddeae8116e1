// What the supervisor hands to a reporter that it starts.
import * as v from "valibot";
import type { Config } from "../config/config.ts";

const options = {
  /** Names the run; the same through every restart of its processes. */
  run: v.string(),
  /** What standard output gets. */
  output: v.picklist(["json", "pretty", "none"]),
  /** Standard output may have colour. */
  colour: v.boolean(),
};
const OptionsWithoutConfig = v.object(options);

export type ReporterOptions = Readonly<v.InferOutput<typeof OptionsWithoutConfig>> & {
  readonly config: Config;
};

/** All that a reporter is started with. */
export interface ReporterPlan {
  readonly options: ReporterOptions;
  /** Variables to read as if they stood in its environment, where others could read them. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Throws a SyntaxError or a ValiError for anything that `treewarden run` did not write. `config`: the schema of the
 * configuration, which the command line knows and this room does not.
 */
export function parseReporterPlan(text: string, config: v.GenericSchema<unknown, Config>): ReporterPlan {
  const plan = v.strictObject({
    options: v.strictObject({ ...options, config }),
    environment: v.record(v.string(), v.string()),
  });
  return v.parse(plan, JSON.parse(text));
}
