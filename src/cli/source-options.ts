// The options that choose an event source.
import { Option } from "commander";
import { openableSources, sourceChoices } from "../vocabulary/sensors.ts";
import { filesText } from "./open-source.ts";

/** The option `--source`. */
export function sourceOption(): Option {
  const choices = [...new Set([...sourceChoices, ...openableSources])];
  return new Option("--source <source>", "event source (default: the configuration's, else auto)").choices(
    choices,
  );
}

/** The option `--file`. */
export function fileOption(): Option {
  return new Option("--file <file>", `the file to read, for ${filesText}`);
}
