// Which sources of events this host allows. Each live one is opened and has to report a program that is started for it.

import type { Sensor } from "../../sensor/event.ts";
import { openSource } from "../../sensor/open.ts";
import { FactsReader } from "../../sensor/procfs/facts-reader.ts";
import { SensorUnavailable } from "../../sensor/unavailable.ts";
import { messageOf } from "../../vocabulary/errors.ts";
import {
  isLiveSource,
  type LiveSource,
  type OpenableSource,
  openableSources,
  type SensorDescription,
  sensors,
} from "../../vocabulary/sensors.ts";

export interface SensorReport {
  readonly source: OpenableSource;
  readonly description: SensorDescription;
  /** False: it is no source on this host. Undefined: that depends on the file it is given. */
  readonly available: boolean | undefined;
  /** What was found. */
  readonly detail: string;
  /** What to do about it, where it is not available. */
  readonly fix?: string;
}

/** More than any sensor lets an event wait. */
const PATIENCE_MS = 500;
const ARGUMENT_BYTES = 4096;

/** Every source that can be opened, the one that `auto` would take first. */
export function trySensors(): readonly SensorReport[] {
  using reader = new FactsReader();
  return openableSources.map((source) => {
    const shared = { source, description: sensors[source] };
    if (!isLiveSource(source)) return { ...shared, available: undefined, detail: "needs --file" };
    return { ...shared, ...tryLive(source, reader) };
  });
}

const answers = { true: "yes", false: "no", undefined: "a file" } as const;
const yesOrNo = (value: boolean): string => (value ? "yes" : "no");

/** What each source can tell, and whether it can be had here. */
export function sensorTable(sensors: readonly SensorReport[]): string {
  const rows = [
    ["source", "here", "forks", "ends", "arguments", "scope", "an exec is seen"],
    ...sensors.map(({ source, description: row, available }) => [
      source,
      answers[`${available}`],
      yesOrNo(row.forks),
      yesOrNo(row.exits),
      row.arguments,
      row.scope,
      row.when,
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function tryLive(
  source: LiveSource,
  reader: FactsReader,
): Pick<SensorReport, "available" | "detail" | "fix"> {
  try {
    using sensor = openSource(source, { reader, argumentBytes: ARGUMENT_BYTES });
    if (reportsProgram(sensor))
      return { available: true, detail: "opened; it reported a program that was started" };
    const fix = "is another program in its way? see docs/sensors.md for what the kernel needs";
    return { available: false, detail: "opened, but it reported nothing", fix };
  } catch (error) {
    const detail = messageOf(error);
    const fix = (error instanceof SensorUnavailable ? error.hint : undefined) ?? "run as root, on the host";
    return { available: false, detail, fix };
  }
}

function reportsProgram(sensor: Sensor): boolean {
  const command = ["/proc/self/exe", "version"];
  const { pid } = Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore", env: {} });
  const deadline = performance.now() + PATIENCE_MS;
  let isSeen = false;
  while (!isSeen && performance.now() < deadline) {
    sensor.drain((event) => {
      isSeen ||= event.kind !== "loss" && event.pid === pid;
    });
  }
  return isSeen;
}
