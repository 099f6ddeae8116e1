// The forest of a command that only looks: a scan, with the lineages that a running treewarden has written down.

import type { BaseSystem } from "../fingerprint/base.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import { programNames } from "../fingerprint/title.ts";
import { Forest, type FoundProcess } from "../forest/forest.ts";
import { monotonicNow, suspendedFor } from "../linux/clock.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { scanLiveProcesses } from "../warden/live-scan.ts";
import { restoreSavedLineages } from "./saved-lineages.ts";

export interface Snapshot {
  readonly forest: Forest;
  readonly found: readonly FoundProcess[];
  /** ns, CLOCK_MONOTONIC, of the scan. */
  readonly time: number;
}

/** Takes lineages from the forest that a warden saved in `stateDirectory`; without one they are as /proc has them now. */
export function takeSnapshot(stateDirectory: string, base: BaseSystem): Snapshot {
  using reader = new FactsReader();
  const forest = new Forest({
    ...programNames(createIdentifier({ base })),
    missedExit: () => undefined,
  });
  forest.suspendedNs = suspendedFor();
  const restored = restoreSavedLineages(forest, stateDirectory);
  const time = monotonicNow();
  const { found } = forest.reconcile(scanLiveProcesses(reader), time, restored?.processes);
  restored?.release();
  return { forest, found, time };
}
