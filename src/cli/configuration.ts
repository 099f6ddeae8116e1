// Reads the configuration of a command: the file named by an option, or else the one in /etc, or else the defaults.
import { type Config, configFile, defaultConfig } from "../config/config.ts";
import { type OutputError, parseConfig, parseDespiteOutputErrors } from "../config/config-file.ts";
import type { ConfigError } from "../config/yaml-file.ts";
import { readCheckedFile } from "../linux/root-file.ts";
import { codeOf } from "../linux/system-error.ts";
import { digestOf } from "../policy/signature.ts";
import type { OutputProblem } from "../report/output-problem.ts";
import { configuredOutputs } from "../vocabulary/outputs.ts";
import type { WardenStatus } from "../warden/warden-status.ts";
import { fileRules, type ReadPurpose } from "./file-rules.ts";
import { CommandError, exitCodes } from "./output.ts";
import { filesOnDisk, type SettingFiles } from "./setting-files.ts";

/** Maximum size in bytes: a thousand lines. On hostile YAML of this size the parser takes some 1.5 s and 300 MB. */
export const CONFIG_LIMIT = 65_536;
/** The number of errors that are shown. */
const ERRORS_SHOWN = 20;

/** A configuration, and whether a file holds it. */
export interface ReadConfig {
  readonly config: Config;
  /** The file's path; undefined if there is none, and these are the defaults. */
  readonly file: string | undefined;
  /** Of the file: `sha256:` and 64 hexadecimal digits. */
  readonly digest: string | undefined;
  /** Outputs that are off because of an error in their section of the file. */
  readonly outputProblems: readonly OutputProblem[];
}

/** What an error in the section of an output does: it is an error as any other, or it turns the output off. */
export type OutputErrors = "refused" | "turn off";

/** As `readConfigFile`, for those who do not ask where the settings come from. */
export function readConfig(path: string | undefined, purpose: ReadPurpose): Config {
  return readConfigFile(path, purpose).config;
}

/** `path`: from the option, undefined without it. Throws a CommandError that lists the errors with line and column. */
export function readConfigFile(
  path: string | undefined,
  purpose: ReadPurpose,
  { read }: SettingFiles = filesOnDisk,
  outputErrors: OutputErrors = "refused",
): ReadConfig {
  const file = path ?? configFile;
  const content = read(file, fileRules(purpose, CONFIG_LIMIT));
  if (!content.ok) {
    const { kind, reason, fix, cause } = content.problem;
    if (kind === "missing" && path === undefined)
      return { config: defaultConfig(), file: undefined, digest: undefined, outputProblems: [] };
    const why = kind === "missing" ? "there is no such file" : `it ${reason}`;
    const code = codeOf(cause) === "EACCES" ? exitCodes.notAllowed : exitCodes.usage;
    throw new CommandError(code, `cannot read the configuration ${file}: ${why}`, fix);
  }
  const text = content.bytes.toString("utf8");
  const result = parseConfig(text, file);
  const digest = digestOf(content.bytes);
  if (result.ok) return { config: result.config, file, digest, outputProblems: [] };
  const usable = outputErrors === "refused" ? undefined : parseDespiteOutputErrors(text, file);
  if (usable !== undefined)
    return { config: usable.config, file, digest, outputProblems: usable.errors.map(outputProblem) };
  const { errors } = result;
  const lines = errors.slice(0, ERRORS_SHOWN).map(errorLine);
  const left = errors.length - lines.length;
  throw new CommandError(exitCodes.usage, left > 0 ? [...lines, `${left} more errors in ${file}`] : lines);
}

/**
 * Whether the file that a warden has read has another content now. It is the warden's file, which `run --config` chose
 * and a command need not name. False if it may not be read: that is not known to be a change.
 */
export function isConfigurationChanged({ file, digest }: WardenStatus["configuration"]): boolean {
  const content = readCheckedFile(file ?? configFile, fileRules("to decide", CONFIG_LIMIT));
  if (content.ok) return digestOf(content.bytes) !== digest;
  return content.problem.kind === "missing" && digest !== null;
}

export function errorLine({ file, line, column, message }: ConfigError): string {
  return `${file}:${line}:${column}: ${message}`;
}

function outputProblem(error: OutputError): OutputProblem {
  const { label, signals } = configuredOutputs[error.section];
  return { signals, text: `${label} is off: ${errorLine(error)}` };
}
