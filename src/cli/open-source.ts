// Opens the event source for a command, and reports why the kernel refuses it and how to fix that.
import type { Config } from "../config/config.ts";
import type { Sensor } from "../sensor/event.ts";
import type { NetworkWatch } from "../sensor/network/watch.ts";
import { type OpenedSensor, openSensor, type SensorOptions } from "../sensor/open.ts";
import { SensorUnavailable } from "../sensor/unavailable.ts";
import { type OpenableSource, openableSources, type SourceChoice, sensors } from "../vocabulary/sensors.ts";
import { CommandError, exitCodes } from "./output.ts";

/** The options that select an event source. */
export interface SourceFlags {
  /** Undefined: the configuration's source. */
  readonly source?: SourceChoice | OpenableSource;
  /** Path of the file to read, for a source that is a file. */
  readonly file?: string;
}

/** The chosen event source: this host, or a file that the kernel writes. */
export interface ChosenSource {
  readonly source: SourceChoice | OpenableSource;
  readonly file?: string | undefined;
}

/** Throws a CommandError if the flags contradict each other, or if a user other than root wants to watch this host. */
export function chooseSource(flags: SourceFlags, config: Pick<Config, "source">): ChosenSource {
  const chosen = { source: flags.source ?? config.source, file: flags.file };
  checkSource(chosen);
  return chosen;
}

/** The sources that are files, with what the file is. */
export const filesText = openableSources
  .filter((source) => sensors[source].mode === "file")
  .map((source) => `--source ${source} (${sensors[source].title})`)
  .join(" or ");

/** True if the source reports this host's events live, so that /proc describes the same processes. */
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

/**
 * Opens the source; `network`: what it is to watch of the network besides. Throws a CommandError: a usage error for a wrong file, otherwise that the host does not allow it.
 */
export function openSource(
  flags: ChosenSource,
  options: SensorOptions,
  network?: NetworkWatch,
): OpenedSensor {
  try {
    const opened = openSensor(flags.source, { ...options, file: flags.file });
    if (network !== undefined) watchNetwork(opened.sensor, network);
    return opened;
  } catch (error) {
    if (!(error instanceof SensorUnavailable)) throw error;
    const code = watchesThisHost(flags) ? exitCodes.notAllowed : exitCodes.usage;
    throw new CommandError(code, error.message, error.hint);
  }
}

function watchNetwork(sensor: Sensor, watch: NetworkWatch): void {
  if (sensor.watchNetwork === undefined)
    throw new SensorUnavailable(`the source ${sensor.source} cannot see the network`, "use --source ebpf");
  sensor.watchNetwork(watch);
}
