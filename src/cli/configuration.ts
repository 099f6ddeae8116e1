// The configuration file of a command line: the one that was named, else the one in /etc, else the defaults.
import { readFileSync } from "node:fs";
import { type Config, configFile, defaultConfig, parseConfig } from "../config/config.ts";
import { codeOf } from "../vocabulary/errors.ts";
import { readError } from "./file-errors.ts";
import { CommandError, exitCodes } from "./output.ts";

/** Throws a CommandError that tells every mistake with its place. */
export function readConfig(named: string | undefined): Config {
  const file = named ?? configFile;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" && named === undefined) return defaultConfig();
    throw new CommandError(exitCodes.usage, readError("configuration", file, error));
  }
  const result = parseConfig(text, file);
  if (result.ok) return result.config;
  const lines = result.errors.map((error) => `${error.file}:${error.line}:${error.column}: ${error.message}`);
  throw new CommandError(exitCodes.usage, lines.join("\ntreewarden: "));
}
