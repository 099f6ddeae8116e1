// Saves the forest for the next warden, and restores what the last warden saved.
import { decodeRunnable, encodeRunnable } from "../fingerprint/saved-runnable.ts";
import type { Forest } from "../forest/forest.ts";
import {
  type RestoredForest,
  restoreForest,
  restoreWholeForest,
  saveForest,
} from "../forest/saved-forest.ts";
import { monotonicNow } from "../linux/clock.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { AtomicFileWriter } from "./atomic-file-writer.ts";
import type { ChangedRunnables } from "./changed-runnables.ts";
import type { NewTrees } from "./new-trees.ts";
import { fileOfState, type SavedState } from "./saved-state.ts";

/** The shortest time between two saves. Saving also takes at most a hundredth of the warden's time. */
const SAVE_NS = 5e9;
const SAVE_REST = 100;

export interface ForestStoreInputs {
  readonly directory: string;
  readonly run: string;
  readonly bootId: string;
  readonly forest: Forest;
  /** See `Sensor.mark`. */
  readonly mark: () => string | undefined;
  readonly newTrees: NewTrees;
  readonly changes: Pick<ChangedRunnables, "listReported">;
  readonly reader: Pick<FactsReader, "startTicks">;
  readonly fileWriter: AtomicFileWriter;
  /** The exact start of a process became known without an event. */
  readonly onStartLearned: (pid: number, startTicks: number) => void;
  /** Records a change of treewarden itself. */
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

export class ForestStore {
  private readonly inputs: ForestStoreInputs;
  private unsaved = false;
  private notBefore = 0;

  constructor(inputs: ForestStoreInputs) {
    this.inputs = inputs;
  }

  /** To be called when the forest changed. */
  changed(): void {
    this.unsaved = true;
  }

  /** Nanoseconds from `now` until it is time to save; undefined if there is nothing to save. */
  dueIn(now: number): number | undefined {
    return this.unsaved ? Math.max(0, this.notBefore - now) : undefined;
  }

  save(now: number): void {
    const { directory, run, bootId, forest, newTrees, changes, fileWriter, recordChange } = this.inputs;
    const failed = (error: unknown): void =>
      recordChange("forest.not_saved", { "error.message": String(error) });
    this.unsaved = false;
    try {
      this.learnStarts();
      const saved = saveForest(forest, bootId, encodeRunnable);
      // After a loss the forest has not all events.
      const mark = forest.lossTime === undefined ? this.inputs.mark() : undefined;
      const state = { run, forest: saved, mark, trees: newTrees.list(), changed: changes.listReported() };
      const { path, text } = fileOfState(directory, state);
      // Lineages are void after a reboot, so the file need not survive power loss and no write waits for a sync.
      fileWriter.write(path, text, failed, "crash");
    } catch (error) {
      failed(error);
    }
    const end = monotonicNow();
    this.notBefore = end + Math.max(SAVE_NS, (end - now) * SAVE_REST);
  }

  /** Restores the lineages of the last run in this boot; undefined if there are none or they are inconsistent. */
  restore(saved: SavedState | undefined): RestoredForest | undefined {
    if (saved === undefined) return undefined;
    const { forest, bootId, recordChange } = this.inputs;
    try {
      return restoreForest(forest, saved.forest, bootId, decodeRunnable);
    } catch (error) {
      recordChange("forest.rejected", { "error.message": String(error) });
      return undefined;
    }
  }

  /** Fills the empty forest with what was saved; false if it is not of this boot, or inconsistent. */
  restoreWhole(saved: SavedState): boolean {
    const { forest, bootId, recordChange } = this.inputs;
    try {
      return restoreWholeForest(forest, saved.forest, bootId, decodeRunnable);
    } catch (error) {
      recordChange("forest.rejected", { "error.message": String(error) });
      return false;
    }
  }

  /** Reads exact start times: that of a process without an exec may be off by a tick, and saved ones must be exact. */
  private learnStarts(): void {
    const { forest, reader, onStartLearned } = this.inputs;
    for (const process of forest.processes()) {
      if (process.startExact || process.kernelThread) continue;
      const startTicks = reader.startTicks(process.pid);
      if (startTicks === undefined) continue;
      forest.learnStart(process, startTicks);
      onStartLearned(process.pid, startTicks);
    }
  }
}
