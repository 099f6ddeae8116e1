// Whether the network can be watched on this host, and connections denied: the programs for it are attached for a moment,
// report nothing and refuse nothing.
import type { Config } from "../../config/config.ts";
import type { Sensor } from "../../sensor/event.ts";
import type { DeniedNetwork } from "../../sensor/network/denial.ts";
import { networkFilters } from "../../sensor/network/filters.ts";
import { openSensorOf } from "../../sensor/open.ts";
import { FactsReader } from "../../sensor/procfs/facts-reader.ts";
import { SensorUnavailable } from "../../sensor/unavailable.ts";
import { networkKinds } from "../../vocabulary/event-kinds.ts";
import { sensors } from "../../vocabulary/sensors.ts";
import type { DoctorCheck } from "./checks.ts";

const ARGUMENT_BYTES = 4096;

/** Has the sensor attach what it attaches from the first denial on. It means no port, and no process points to its set. */
const nothingDenied: DeniedNetwork = {
  kind: "connect",
  transport: "tcp",
  network: { address: [192, 0, 2, 0], prefix: 24 },
  ports: { mode: "only", ranges: [] },
};

/** A host on which it cannot be watched misses a feature only: programs are reported all the same. */
export function checkNetwork({ source, network }: Config): DoctorCheck {
  const name = "network";
  if (network.watch === "off") return { name, status: "ok", detail: "not watched: network.watch is off" };
  if (source !== "auto" && !sensors[source].network) {
    const detail = `not watched: the ${sensors[source].label} does not see it`;
    return { name, status: "missing", detail, fix: "source: auto or ebpf" };
  }
  try {
    using reader = new FactsReader();
    using sensor = openSensorOf("ebpf", { reader, argumentBytes: ARGUMENT_BYTES });
    return checkNetworkOf(sensor, network);
  } catch (error) {
    if (!(error instanceof SensorUnavailable)) throw error;
    const { message: detail, hint } = error;
    return { name, status: "missing", detail, ...(hint === undefined ? {} : { fix: hint }) };
  }
}

/** The same by this sensor. Throws a SensorUnavailable if it cannot watch the network. */
export function checkNetworkOf(
  sensor: Pick<Sensor, "watchNetwork" | "denials">,
  network: Config["network"],
): DoctorCheck {
  const name = "network";
  sensor.watchNetwork?.({ kinds: networkKinds, filters: networkFilters(network) });
  sensor.denials?.define(1, [nothingDenied]);
  const problem = sensor.denials?.problem;
  if (problem !== undefined) return { name, status: "missing", detail: problem };
  return { name, status: "ok", detail: "can be watched, and connections denied, where a rule asks for it" };
}
