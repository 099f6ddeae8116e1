// Reads the configuration of a command: the file named by an option, or else the one in /etc, or else the defaults.
import { type Config, configFile, defaultConfig } from "../config/config.ts";
import { parseConfig } from "../config/config-file.ts";
import { codeOf } from "../linux/system-error.ts";
import { digestOf } from "../policy/signature.ts";
import { fileRules, type ReadPurpose } from "./file-rules.ts";
import { CommandError, exitCodes } from "./output.ts";
import { filesOnDisk, type SettingFiles } from "./setting-files.ts";

/** Maximum size in bytes: a thousand lines. On hostile YAML of this size the parser takes some 1.5 s and 300 MB. */
const CONFIG_LIMIT = 65_536;
/** The number of errors that are shown. */
const ERRORS_SHOWN = 20;

/** A configuration, and whether a file holds it. */
export interface ReadConfig {
  readonly config: Config;
  /** The file's path; undefined if there is none, and these are the defaults. */
  readonly file: string | undefined;
  /** Of the file: `sha256:` and 64 hexadecimal digits. */
  readonly digest: string | undefined;
}

/** As `readConfigFile`, for those who do not ask where the settings come from. */
export function readConfig(path: string | undefined, purpose: ReadPurpose): Config {
  return readConfigFile(path, purpose).config;
}

/** `path`: from the option, undefined without it. Throws a CommandError that lists the errors with line and column. */
export function readConfigFile(
  path: string | undefined,
  purpose: ReadPurpose,
  { read }: SettingFiles = filesOnDisk,
): ReadConfig {
  const file = path ?? configFile;
  const content = read(file, fileRules(purpose, CONFIG_LIMIT));
  if (!content.ok) {
    const { kind, reason, fix, cause } = content.problem;
    if (kind === "missing" && path === undefined)
      return { config: defaultConfig(), file: undefined, digest: undefined };
    const why = kind === "missing" ? "there is no such file" : `it ${reason}`;
    const code = codeOf(cause) === "EACCES" ? exitCodes.notAllowed : exitCodes.usage;
    throw new CommandError(code, `cannot read the configuration ${file}: ${why}`, fix);
  }
  const result = parseConfig(content.bytes.toString("utf8"), file);
  if (result.ok) return { config: result.config, file, digest: digestOf(content.bytes) };
  const { errors } = result;
  const lines = errors
    .slice(0, ERRORS_SHOWN)
    .map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  const left = errors.length - lines.length;
  throw new CommandError(exitCodes.usage, left > 0 ? [...lines, `${left} more errors in ${file}`] : lines);
}
