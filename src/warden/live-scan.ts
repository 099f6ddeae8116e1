// Scans /proc for living processes.
import type { ScannedGroup, ScannedProcess, Sensor } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { scanProcesses } from "../sensor/procfs/scan.ts";

/**
 * Returns all processes except zombies, whose exit has already been reported. `sensor`, which must be subscribed before
 * the scan, gets the result too.
 */
export function scanLiveProcesses(reader: FactsReader, sensor?: Sensor): readonly ScannedProcess[] {
  return withoutZombies(scanProcesses(reader), sensor);
}

/** As `scanLiveProcesses`, of a scan that was made before. */
export function withoutZombies(
  scanned: readonly ScannedGroup[],
  sensor: Sensor | undefined,
): readonly ScannedProcess[] {
  sensor?.reconcile?.(scanned);
  return scanned.filter((process) => !(process.leaderEnded && process.threads <= 1));
}
