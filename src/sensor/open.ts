// Which source of events this host gets, and why.
import type { SourceChoice } from "../config/config.ts";
import { HintedError } from "../vocabulary/errors.ts";
import { EbpfUnavailable, openEbpfSensor } from "./ebpf/sensor.ts";
import type { Sensor } from "./event.ts";
import { openNetlinkSensor } from "./netlink/sensor.ts";
import { NetlinkUnavailable } from "./netlink/unavailable.ts";
import type { FactsReader } from "./procfs/facts-reader.ts";

export interface OpenedSensor {
  readonly sensor: Sensor;
  /** Why this one, for a person. */
  readonly why: string;
}

export interface SensorOptions {
  readonly reader: FactsReader;
  /** Bytes of arguments that are kept. */
  readonly argumentBytes: number;
  /** Why `auto` takes eBPF only where there is nothing else, for a person; undefined: it prefers eBPF. */
  readonly ebpfRefusal?: string | undefined;
}

/** No source can be had: what each of them said. */
export class NoSensor extends HintedError {
  override readonly name = "NoSensor";
}

/**
 * Opens the source that was chosen. `auto` takes eBPF where kernel, BTF and permissions allow, since it names every
 * program, else the proc connector; with `ebpfRefusal` in the other order. Throws NoSensor if there is none.
 */
export function openSensor(choice: SourceChoice, options: SensorOptions): OpenedSensor {
  if (choice === "auto" && options.ebpfRefusal !== undefined) {
    try {
      return {
        sensor: openNetlinkSensor({ reader: options.reader }),
        why: `no eBPF (${options.ebpfRefusal})`,
      };
    } catch (error) {
      if (!(error instanceof NetlinkUnavailable)) throw error;
    }
  }
  let refusal = "";
  if (choice !== "netlink") {
    try {
      return {
        sensor: openEbpfSensor({ argumentBytes: options.argumentBytes }),
        why: "it names every program",
      };
    } catch (error) {
      if (!(error instanceof EbpfUnavailable)) throw error;
      if (choice === "ebpf") throw new NoSensor(error.message, error.hint);
      refusal = error.message;
    }
  }
  try {
    const why = refusal === "" ? "it was chosen" : `no eBPF (${refusal})`;
    return { sensor: openNetlinkSensor({ reader: options.reader }), why };
  } catch (error) {
    if (!(error instanceof NetlinkUnavailable)) throw error;
    throw new NoSensor(refusal === "" ? error.message : `${refusal}; ${error.message}`, error.hint);
  }
}
