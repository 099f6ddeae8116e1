// Whether the network can be watched on this host: the programs for it are attached for a moment, and report nothing.
import type { Config } from "../../config/config.ts";
import { networkKinds } from "../../sensor/event.ts";
import { networkFilters } from "../../sensor/network/filters.ts";
import { openSensorOf } from "../../sensor/open.ts";
import { FactsReader } from "../../sensor/procfs/facts-reader.ts";
import { SensorUnavailable } from "../../sensor/unavailable.ts";
import type { DoctorCheck } from "./checks.ts";

const ARGUMENT_BYTES = 4096;

/** A host on which it cannot be watched misses a feature only: programs are reported all the same. */
export function checkNetwork({ source, network }: Config): DoctorCheck {
  const name = "network";
  if (network.watch === "off") return { name, status: "ok", detail: "not watched: network.watch is off" };
  if (source === "netlink") {
    const detail = "not watched: the proc connector does not see it";
    return { name, status: "missing", detail, fix: "source: auto or ebpf" };
  }
  try {
    using reader = new FactsReader();
    using sensor = openSensorOf("ebpf", { reader, argumentBytes: ARGUMENT_BYTES });
    sensor.watchNetwork?.({ kinds: networkKinds, filters: networkFilters(network) });
    return { name, status: "ok", detail: "can be watched, and connections denied, where a rule asks for it" };
  } catch (error) {
    if (!(error instanceof SensorUnavailable)) throw error;
    const { message: detail, hint } = error;
    return { name, status: "missing", detail, ...(hint === undefined ? {} : { fix: hint }) };
  }
}
