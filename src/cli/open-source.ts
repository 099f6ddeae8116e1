// Opening the source of events for a command: what the kernel refuses is reported with what to do about it.
import { Option } from "commander";
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

/** What a command that watches may read: this host, or a file that the kernel writes. */
export interface SourceFlags {
  readonly source: SourceChoice | OpenableSource;
  /** Where the file is. */
  readonly file?: string;
}

/** `--source` of a command that watches. */
export function sourceOption(): Option {
  const choices = [...new Set([...sourceChoices, ...openableSources])];
  return new Option("--source <source>", "where events come from").choices(choices).default("auto");
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
export function watchesThisHost({ source }: SourceFlags): boolean {
  return source === "auto" || sensors[source].mode === "live";
}

/** Refuses flags that do not go together, and users other than root where the host is watched. */
export function checkSource(flags: SourceFlags): void {
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
export function openSource(flags: SourceFlags, options: SensorOptions): OpenedSensor {
  try {
    return openSensor(flags.source, { ...options, file: flags.file });
  } catch (error) {
    if (!(error instanceof SensorUnavailable)) throw error;
    const code = watchesThisHost(flags) ? exitCodes.notAllowed : exitCodes.usage;
    throw new CommandError(code, error.message, error.hint);
  }
}
