// Reads the configuration of a command: the file named by an option, or else the one in /etc, or else the defaults.
import { readFileSync } from "node:fs";
import { type Config, configFile, defaultConfig, parseConfig } from "../config/config.ts";
import { codeOf } from "../linux/system-error.ts";
import { printable } from "../linux/text.ts";
import { readError } from "./file-errors.ts";
import { CommandError, exitCodes } from "./output.ts";

/** `path`: from the option, undefined without it. Throws a CommandError that lists every error with its line and column. */
export function readConfig(path: string | undefined): Config {
  const file = path ?? configFile;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" && path === undefined) return defaultConfig();
    throw new CommandError(exitCodes.usage, readError("configuration", file, error));
  }
  const result = parseConfig(text, file);
  if (result.ok) return result.config;
  const lines = result.errors.map(({ line, column, message }) =>
    printable(`${file}:${line}:${column}: ${message}`),
  );
  // The first line is printed behind "treewarden: "; the others get the same prefix.
  throw new CommandError(exitCodes.usage, lines.join("\ntreewarden: "));
}
