// Opening the source of events for a command: what the kernel refuses is reported with what to do about it.
import { Option } from "commander";
import type { Config } from "../config/config.ts";
import { type OpenedSensor, openSensor, type SensorOptions } from "../sensor/open.ts";
import { SensorUnavailable } from "../sensor/unavailable.ts";
import {
  type OpenableSource,
  openableSources,
  type SourceChoice,
  sensors,
  sourceChoices,
} from "../vocabulary/sensors.ts";
import { CommandError, exitCodes } from "./output.ts";

/** The options of a command that watches. */
export interface SourceFlags {
  /** Undefined: what the configuration says. */
  readonly source?: SourceChoice | OpenableSource;
  /** Where the file is. */
  readonly file?: string;
}

/** What a command that watches reads: this host, or a file that the kernel writes. */
export interface ChosenSource {
  readonly source: SourceChoice | OpenableSource;
  readonly file?: string | undefined;
}

/** Throws a CommandError if the flags do not go together, or if this host is to be watched by another user than root. */
export function chooseSource(flags: SourceFlags, config: Pick<Config, "source">): ChosenSource {
  const chosen = { source: flags.source ?? config.source, file: flags.file };
  checkSource(chosen);
  return chosen;
}

/** `--source` of a command that watches. */
export function sourceOption(): Option {
  const choices = [...new Set([...sourceChoices, ...openableSources])];
  return new Option("--source <source>", "event source (default: the configuration's, else auto)").choices(
    choices,
  );
}

/** `--file` of a command that watches. */
export function fileOption(): Option {
  return new Option("--file <file>", `the file to read, for ${filesText}`);
}

const filesText = openableSources
  .filter((source) => sensors[source].mode === "file")
  .map((source) => `--source ${source} (${sensors[source].title})`)
  .join(" or ");

/** Whether the events are this host's as they happen, so that /proc can be asked. */
export function watchesThisHost({ source }: ChosenSource): boolean {
  return source === "auto" || sensors[source].mode === "live";
}

function checkSource(flags: ChosenSource): void {
  const isLive = watchesThisHost(flags);
  if (isLive === (flags.file !== undefined)) {
    const example = "--source acct --file /var/log/account/pacct";
    const message = isLive ? `--file needs ${filesText}` : `--source ${flags.source} needs --file`;
    throw new CommandError(exitCodes.usage, message, example);
  }
  if (isLive && process.geteuid?.() !== 0) {
    throw new CommandError(exitCodes.notAllowed, "only root may watch every process", "run it with sudo");
  }
}

/** Opens the source. Throws a CommandError: of use where the file is wrong, else that the host does not allow it. */
export function openSource(flags: ChosenSource, options: SensorOptions): OpenedSensor {
  try {
    return openSensor(flags.source, { ...options, file: flags.file });
  } catch (error) {
    if (!(error instanceof SensorUnavailable)) throw error;
    const code = watchesThisHost(flags) ? exitCodes.notAllowed : exitCodes.usage;
    throw new CommandError(code, error.message, error.hint);
  }
}
