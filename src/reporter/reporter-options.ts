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

/**
 * Throws a SyntaxError or a ValiError for anything that `treewarden run` did not write. `config`: the schema of the
 * configuration, which the command line knows and this room does not.
 */
export function parseReporterOptions(
  text: string,
  config: v.GenericSchema<unknown, Config>,
): ReporterOptions {
  return v.parse(v.strictObject({ ...options, config }), JSON.parse(text));
}
