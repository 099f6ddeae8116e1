// Opens the source of events that was asked for. What each can tell stands in vocabulary/sensors.ts.
import { startShiftTicks } from "../linux/time-namespace.ts";
import {
  liveSources,
  type OpenableSource,
  type SensorSource,
  type SourceChoice,
  sensors,
} from "../vocabulary/sensors.ts";
import { openAcctSensor } from "./acct/sensor.ts";
import { BUFFER_BYTES, ENFORCING_BUFFER_BYTES, openEbpfSensor } from "./ebpf/sensor.ts";
import type { Sensor } from "./event.ts";
import { openNetlinkSensor } from "./netlink/sensor.ts";
import type { ObjectKeeper } from "./object-keeper.ts";
import type { PreventionOptions } from "./prevention/options.ts";
import type { FactsReader } from "./procfs/facts-reader.ts";
import { SensorUnavailable } from "./unavailable.ts";

export interface OpenedSensor {
  readonly sensor: Sensor;
  /** Why this one, for a person. */
  readonly why: string;
}

export interface SensorOptions {
  /** For sensors that read the facts from /proc. */
  readonly reader: FactsReader;
  /** Bytes of arguments that are kept. */
  readonly argumentBytes: number;
  /** The environment variables that are kept while the environment is read. */
  readonly environmentNames?: readonly string[] | undefined;
  /** For a source that can end programs before their first instruction. */
  readonly prevention?: PreventionOptions | undefined;
  /** Denials end when no reader has reported for this long (ms) that it is alive; 0: never. Default: 15 s. */
  readonly denialLimitMs?: number | undefined;
  /** Verdicts are carried out, so the buffer must hold what arrives while the reader is held up. */
  readonly enforces?: boolean | undefined;
  /** For a source that is a file: where it is. */
  readonly file?: string | undefined;
  /** Keeps what the source has in the kernel for the next process. */
  readonly keeper?: ObjectKeeper | undefined;
  /** A source that `auto` tries after all others, and why. */
  readonly lastResort?: LastResort | undefined;
}

export interface LastResort {
  readonly source: SensorSource;
  /** For a person. */
  readonly reason: string;
}

/** In such a namespace a process could not be distinguished from a later one with the same pid. */
const otherClocks = [
  "the boot-time clock of this time namespace is not a whole number of 10 ms from the host's (time_namespaces(7))",
  "run treewarden in the host's time namespace",
] as const;

/** How each source is opened. Throws SensorUnavailable where the host does not allow it. */
const openers: Readonly<Record<OpenableSource, (options: SensorOptions) => Sensor>> = {
  ebpf: ({ argumentBytes, denialLimitMs, enforces, environmentNames, keeper, prevention }) =>
    openEbpfSensor({
      argumentBytes,
      denialLimitMs,
      bufferBytes: enforces === true ? ENFORCING_BUFFER_BYTES : BUFFER_BYTES,
      environmentNames,
      keeper,
      prevention,
    }),
  netlink: ({ reader }) => openNetlinkSensor({ reader }),
  acct: ({ file = "" }) => openAcctSensor(file),
};

/** Opens one source. Throws SensorUnavailable, with a hint. */
export function openSensorOf(source: OpenableSource, options: SensorOptions): Sensor {
  return openers[source](options);
}

/**
 * Opens the source that was chosen and no other; `auto` takes the first live source of the table that the host allows.
 * Throws SensorUnavailable with what each of them said.
 */
export function openSensor(choice: SourceChoice | OpenableSource, options: SensorOptions): OpenedSensor {
  if (!Number.isInteger(startShiftTicks)) throw new SensorUnavailable(...otherClocks);
  if (choice !== "auto") return { sensor: openSensorOf(choice, options), why: "it was chosen" };
  const { lastResort } = options;
  const refusals = new Map<SensorSource, string>();
  if (lastResort !== undefined) refusals.set(lastResort.source, lastResort.reason);
  let hint: string | undefined;
  for (const source of [...liveSources].sort(byLastResort(lastResort?.source))) {
    try {
      const sensor = openSensorOf(source, options);
      refusals.delete(source);
      return { sensor, why: refusals.size === 0 ? sensors[source].advantage : textOf(refusals) };
    } catch (error) {
      if (!(error instanceof SensorUnavailable)) throw error;
      refusals.set(source, error.message);
      hint = error.hint;
    }
  }
  throw new SensorUnavailable(textOf(refusals), hint);
}

function byLastResort(last: SensorSource | undefined) {
  return (a: SensorSource, b: SensorSource): number => Number(a === last) - Number(b === last);
}

function textOf(refusals: ReadonlyMap<SensorSource, string>): string {
  return [...refusals].map(([source, reason]) => `no ${sensors[source].label} (${reason})`).join("; ");
}
