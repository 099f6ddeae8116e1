// The parser of the configuration file.
import * as v from "valibot";
import { type ConfiguredOutput, configuredOutputNames } from "../vocabulary/outputs.ts";
import { type Config, configSchema, defaultConfig } from "./config.ts";
import { namesBeside } from "./setting-names.ts";
import { type ConfigError, parseYaml } from "./yaml-file.ts";

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** Parses YAML; `file` is used only in errors. Returns all errors, not only the first. */
export function parseConfig(yaml: string, file: string): ConfigResult {
  const result = parseYaml(yaml, file, configSchema, knownNames);
  return result.ok ? { ok: true, config: result.value } : result;
}

export interface OutputError extends ConfigError {
  readonly section: ConfiguredOutput;
}

/**
 * Parses a file whose only errors are in the sections of outputs, which then count as if they were missing. Undefined if
 * it has none or others too.
 */
export function parseDespiteOutputErrors(
  yaml: string,
  file: string,
): { readonly config: Config; readonly errors: readonly OutputError[] } | undefined {
  const strict = parseConfig(yaml, file);
  const defaults = defaultConfig();
  const { entries } = configSchema;
  const outputs = configuredOutputNames.map(
    (name) => [name, v.fallback(entries[name], defaults[name])] as const,
  );
  const schema = v.strictObject({ ...entries, ...Object.fromEntries(outputs) });
  const lenient = parseYaml(yaml, file, schema, knownNames);
  if (strict.ok || !lenient.ok) return undefined;
  const errors = strict.errors.flatMap((error) => {
    // Every message begins with the name of the setting.
    const section = configuredOutputNames.find((name) => error.message.startsWith(name));
    return section === undefined ? [] : [{ ...error, section }];
  });
  return { config: lenient.value, errors };
}

function knownNames(path: readonly (string | number)[]): readonly string[] {
  return namesBeside(configSchema, path);
}
