// The forest of a command that only looks: a scan, with the lineages that a running treewarden has written down.
import { type BaseSystem, embeddedBase } from "../fingerprint/base.ts";
import { createIdentifier, kernelThread } from "../fingerprint/identify.ts";
import { decodeRunnable } from "../fingerprint/saved-runnable.ts";
import { Forest, type FoundProcess } from "../forest/forest.ts";
import { type RestoredForest, restoreForest } from "../forest/saved-forest.ts";
import { monotonicNow, suspendedFor } from "../linux/clock.ts";
import { bootId } from "../linux/process.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { readBase } from "../warden/base-file.ts";
import { scanLive } from "../warden/live-scan.ts";
import { readState } from "../warden/saved-state.ts";

export interface Snapshot {
  readonly forest: Forest;
  readonly found: readonly FoundProcess[];
  /** ns, CLOCK_MONOTONIC, of the scan. */
  readonly time: number;
}

/** `stateDirectory`: where a running treewarden saves its forest; without one lineages are as /proc has them now. */
export function takeSnapshot(
  stateDirectory: string,
  base: BaseSystem = readBase(stateDirectory) ?? embeddedBase,
): Snapshot {
  using reader = new FactsReader();
  const forest = new Forest({
    identify: createIdentifier({ base }),
    kernelProgram: kernelThread,
    missedExit: () => undefined,
  });
  forest.suspendedNs = suspendedFor();
  let restored: RestoredForest | undefined;
  try {
    const saved = readState(stateDirectory);
    if (saved !== undefined) restored = restoreForest(forest, saved.forest, bootId(), decodeRunnable);
  } catch {
    // A file of another version: the scan alone has to do.
  }
  const time = monotonicNow();
  const { found } = forest.reconcile(scanLive(reader), time, restored?.processes);
  restored?.release();
  return { forest, found, time };
}
