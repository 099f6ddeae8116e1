// The parser of the configuration file.
import * as v from "valibot";
import { type Config, configSchema, defaultConfig, type OutputSection, outputSections } from "./config.ts";
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
  readonly section: OutputSection;
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
  const { mail, otlp } = defaultConfig();
  const { entries } = configSchema;
  const schema = v.strictObject({
    ...entries,
    mail: v.fallback(entries.mail, mail),
    otlp: v.fallback(entries.otlp, otlp),
  });
  const lenient = parseYaml(yaml, file, schema, knownNames);
  if (strict.ok || !lenient.ok) return undefined;
  const errors = strict.errors.flatMap((error) => {
    // Every message begins with the name of the setting.
    const section = outputSections.find((name) => error.message.startsWith(name));
    return section === undefined ? [] : [{ ...error, section }];
  });
  return { config: lenient.value, errors };
}

function knownNames(path: readonly (string | number)[]): readonly string[] {
  return namesBeside(configSchema, path);
}
