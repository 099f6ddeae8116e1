// What a scan finds that is alive.
import type { ScannedProcess, Sensor } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { scanProcesses } from "../sensor/procfs/scan.ts";

/**
 * Every process but those that only wait to be waited for: their end has been told. `sensor`, which was subscribed
 * before, is told what was found.
 */
export function scanLive(reader: FactsReader, sensor?: Sensor): readonly ScannedProcess[] {
  const found = scanProcesses(reader);
  sensor?.reconcile?.(found);
  return found.filter((one) => !(one.leaderEnded && one.threads <= 1));
}
