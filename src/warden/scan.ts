// What a scan finds that is alive.
import type { ScannedProcess } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/facts.ts";
import { scanProcesses } from "../sensor/scan.ts";

/** Every process but those that only wait to be waited for: their end has been told. */
export function scanLive(reader: FactsReader): readonly ScannedProcess[] {
  return scanProcesses(reader).filter((one) => !(one.leaderEnded && one.threads <= 1));
}
