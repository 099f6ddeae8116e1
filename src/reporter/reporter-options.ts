// What the supervisor hands to a reporter that it starts.
import * as v from "valibot";
import { configSchema } from "../config/config.ts";

const ReporterOptions = v.strictObject({
  /** Names the run; the same through every restart of its processes. */
  run: v.string(),
  config: configSchema,
  /** What standard output gets. */
  output: v.picklist(["json", "pretty", "none"]),
  /** Standard output may have colour. */
  colour: v.boolean(),
});
export type ReporterOptions = Readonly<v.InferOutput<typeof ReporterOptions>>;
export type OutputFormat = ReporterOptions["output"];

/** Throws a SyntaxError or a ValiError for anything that `treewarden run` did not write. */
export function parseOptions(text: string): ReporterOptions {
  return v.parse(ReporterOptions, JSON.parse(text));
}
