// The lineages that a warden has saved, for commands that name processes as it does.
import { decodeRunnable } from "../fingerprint/saved-runnable.ts";
import type { Forest } from "../forest/forest.ts";
import { type RestoredForest, restoreForest } from "../forest/saved-forest.ts";
import { bootId } from "../linux/process.ts";
import { readState } from "../warden/saved-state.ts";

/**
 * The processes that a warden saved in `stateDirectory` during this boot, to be given to `reconcile` and released after
 * it. Undefined if there is no such file, or it cannot be read: then a scan of /proc is all there is.
 */
export function restoreSavedLineages(forest: Forest, stateDirectory: string): RestoredForest | undefined {
  try {
    const saved = readState(stateDirectory);
    return saved && restoreForest(forest, saved.forest, bootId(), decodeRunnable);
  } catch {
    // The file is of another version.
    return undefined;
  }
}
