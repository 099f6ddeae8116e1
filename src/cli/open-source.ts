// Opening the source of events for a command: what the kernel refuses is told with what to do about it.
import type { SourceChoice } from "../config/config.ts";
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

/** What a command that only looks may read: the host, or a file of process accounting. */
export interface LookFlags {
  readonly source: SourceChoice | "acct";
  /** The accounting file. */
  readonly file?: string;
}

/** Refuses flags that do not go together, and anyone but root where the host is watched. */
export function checkLook(flags: LookFlags): void {
  if ((flags.source === "acct") !== (flags.file !== undefined)) {
    const example = "--source acct --file /var/log/account/pacct";
    throw new CommandError(exitCodes.usage, "--source acct and --file go together", example);
  }
  if (flags.source !== "acct" && process.geteuid?.() !== 0) {
    throw new CommandError(exitCodes.notAllowed, "only root may watch every process", "run it with sudo");
  }
}

export function openLook(flags: LookFlags, options: SensorOptions): OpenedSensor {
  if (flags.source !== "acct") return openSource(flags.source, options);
  try {
    return { sensor: openAcctSensor(flags.file ?? ""), why: "it was chosen" };
  } catch (error) {
    if (error instanceof AcctUnavailable) throw new CommandError(exitCodes.usage, error.message, error.hint);
    throw error;
  }
}
