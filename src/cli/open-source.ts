// Opening the event source of a command. What the kernel refuses becomes an error with advice.
import { Option } from "commander";
import { type Config, type SourceChoice, sources } from "../config/config.ts";
import { AcctUnavailable, openAcctSensor } from "../sensor/acct/sensor.ts";
import { NoSensor, type OpenedSensor, openSensor, type SensorOptions } from "../sensor/open.ts";
import { CommandError, exitCodes } from "./output.ts";

export function openSource(choice: SourceChoice, options: SensorOptions): OpenedSensor {
  try {
    return openSensor(choice, options);
  } catch (error) {
    if (error instanceof NoSensor) throw new CommandError(exitCodes.notAllowed, error.message, error.hint);
    throw error;
  }
}

/** `trace` and `record` read this host's events, or a file of process accounting. */
export interface SourceFlags {
  /** Undefined: what the configuration says. */
  readonly source?: SourceChoice | "acct";
  /** The accounting file. */
  readonly file?: string;
}

export function sourceOption(): Option {
  return new Option("--source <source>", "event source (default: the configuration's, else auto)").choices([
    ...sources,
    "acct",
  ]);
}

export function accountingFileOption(): Option {
  return new Option("--file <file>", "process accounting file, for --source acct");
}

/** Throws if the flags do not go together, or if this host is to be watched by another user than root. */
export function checkSource(flags: SourceFlags): void {
  if ((flags.source === "acct") !== (flags.file !== undefined)) {
    const example = "--source acct --file /var/log/account/pacct";
    throw new CommandError(
      exitCodes.usage,
      "--source acct needs --file, and --file needs --source acct",
      example,
    );
  }
  if (flags.source !== "acct" && process.geteuid?.() !== 0) {
    throw new CommandError(exitCodes.notAllowed, "only root may watch every process", "run it with sudo");
  }
}

export function openSourceOrFile(
  flags: SourceFlags,
  config: Pick<Config, "source">,
  options: SensorOptions,
): OpenedSensor {
  if (flags.source !== "acct") return openSource(flags.source ?? config.source, options);
  try {
    return { sensor: openAcctSensor(flags.file ?? ""), why: "it was chosen" };
  } catch (error) {
    if (error instanceof AcctUnavailable) throw new CommandError(exitCodes.usage, error.message, error.hint);
    throw error;
  }
}
