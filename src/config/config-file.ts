// The parser of the configuration file.
import { type Config, configSchema, sections } from "./config.ts";
import { type ConfigError, parseYaml } from "./yaml-file.ts";

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** Parses YAML; `file` is used only in errors. Returns all errors, not only the first. */
export function parseConfig(yaml: string, file: string): ConfigResult {
  const result = parseYaml(yaml, file, configSchema, knownNames);
  return result.ok ? { ok: true, config: result.value } : result;
}

function knownNames(path: readonly (string | number)[]): readonly string[] {
  const entriesOf: Record<string, object> = sections;
  return Object.keys(path.length > 1 ? (entriesOf[String(path[0])] ?? {}) : configSchema.entries);
}
