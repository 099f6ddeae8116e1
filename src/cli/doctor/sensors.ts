// Checks which event sources work on this host. Each live source is opened and must report a program started for the
// test.

import type { Sensor } from "../../sensor/event.ts";
import { openSensorOf } from "../../sensor/open.ts";
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
import { columnLines } from "../columns.ts";

export interface SensorReport {
  readonly source: OpenableSource;
  readonly description: SensorDescription;
  /** False: the source does not work on this host. Undefined: that depends on the file that it reads. */
  readonly available: boolean | undefined;
  /** The result of the check, as text. */
  readonly detail: string;
  /** How to make the source available; undefined if it is available. */
  readonly fix?: string;
}

/** Time to wait for the event; every sensor delivers sooner. */
const TIMEOUT_MS = 500;
const ARGUMENT_BYTES = 4096;

/** Checks every source that can be opened; the one that `auto` prefers comes first. */
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

/** A table of what each source reports, and whether it works on this host. */
export function sensorTable(sensors: readonly SensorReport[]): string {
  const rows = [
    ["source", "here", "forks", "ends", "network", "arguments", "scope", "an exec is seen"],
    ...sensors.map(({ source, description: row, available }) => [
      source,
      answers[`${available}`],
      yesOrNo(row.forks),
      yesOrNo(row.exits),
      yesOrNo(row.network),
      row.arguments,
      row.scope,
      row.when,
    ]),
  ];
  return columnLines(rows)
    .map((line) => `${line}\n`)
    .join("");
}

function tryLive(
  source: LiveSource,
  reader: FactsReader,
): Pick<SensorReport, "available" | "detail" | "fix"> {
  try {
    using sensor = openSensorOf(source, { reader, argumentBytes: ARGUMENT_BYTES });
    if (reportsProgram(sensor))
      return { available: true, detail: "opened; it reported a program that was started" };
    const fix = "check whether another program blocks it; docs/sensors.md lists what the kernel must have";
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
  const deadline = performance.now() + TIMEOUT_MS;
  let isSeen = false;
  while (!isSeen && performance.now() < deadline) {
    sensor.drain((event) => {
      isSeen ||= event.kind !== "loss" && event.pid === pid;
    });
  }
  return isSeen;
}
