// Reads the configuration of a command: the file named by an option, or else the one in /etc, or else the defaults.
import { type Config, configFile, defaultConfig, parseConfig } from "../config/config.ts";
import { readCheckedFile } from "../linux/root-file.ts";
import { codeOf } from "../linux/system-error.ts";
import { fileRules, type ReadPurpose } from "./file-rules.ts";
import { CommandError, exitCodes } from "./output.ts";

/** Maximum size in bytes: thousands of lines, which the parser reads within a second. */
const CONFIG_LIMIT = 1 << 20;

/** `path`: from the option, undefined without it. Throws a CommandError that lists every error with its line and column. */
export function readConfig(path: string | undefined, purpose: ReadPurpose): Config {
  const file = path ?? configFile;
  const content = readCheckedFile(file, fileRules(purpose, CONFIG_LIMIT));
  if (!content.ok) {
    const { kind, reason, fix, cause } = content.problem;
    if (kind === "missing" && path === undefined) return defaultConfig();
    const why = kind === "missing" ? "there is no such file" : `it ${reason}`;
    const code = codeOf(cause) === "EACCES" ? exitCodes.notAllowed : exitCodes.usage;
    throw new CommandError(code, `cannot read the configuration ${file}: ${why}`, fix);
  }
  const result = parseConfig(content.bytes.toString("utf8"), file);
  if (result.ok) return result.config;
  const lines = result.errors.map((error) => `${error.file}:${error.line}:${error.column}: ${error.message}`);
  throw new CommandError(exitCodes.usage, lines);
}
