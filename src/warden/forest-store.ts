// Keeps the forest for the next warden, and takes over what the last one kept.
import { decodeRunnable, encodeRunnable } from "../fingerprint/saved-runnable.ts";
import type { Forest } from "../forest/forest.ts";
import { type RestoredForest, restoreForest, saveForest } from "../forest/saved-forest.ts";
import { monotonicNow } from "../linux/clock.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { AtomicFileWriter } from "./atomic-file-writer.ts";
import type { NewTrees } from "./new-trees.ts";
import { fileOfState, type SavedState } from "./saved-state.ts";

/** The forest is saved this often at most, and never for more than a hundredth of the time. */
const SAVE_NS = 5e9;
const SAVE_REST = 100;

export interface ForestStoreInputs {
  readonly directory: string;
  readonly run: string;
  readonly bootId: string;
  readonly forest: Forest;
  readonly newTrees: NewTrees;
  readonly reader: FactsReader;
  readonly fileWriter: AtomicFileWriter;
  /** Tells a change of treewarden's own. */
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

export class ForestStore {
  private readonly inputs: ForestStoreInputs;
  private unsaved = false;
  private notBefore = 0;

  constructor(inputs: ForestStoreInputs) {
    this.inputs = inputs;
  }

  /** Something happened that is not saved. */
  changed(): void {
    this.unsaved = true;
  }

  /** Nanoseconds from `now` until it is time to save; undefined if there is nothing to save. */
  dueIn(now: number): number | undefined {
    return this.unsaved ? Math.max(0, this.notBefore - now) : undefined;
  }

  save(now: number): void {
    const { directory, run, bootId, forest, newTrees, fileWriter, recordChange } = this.inputs;
    const failed = (error: unknown): void =>
      recordChange("forest.not_saved", { "error.message": String(error) });
    this.unsaved = false;
    try {
      this.learnStarts();
      const saved = saveForest(forest, bootId, encodeRunnable);
      const { path, text } = fileOfState(directory, { run, forest: saved, trees: newTrees.list() });
      fileWriter.write(path, text, failed);
    } catch (error) {
      failed(error);
    }
    const end = monotonicNow();
    this.notBefore = end + Math.max(SAVE_NS, (end - now) * SAVE_REST);
  }

  /** The lineages of the last run of this boot; undefined if there is nothing that holds together. */
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

  /** The start of a process that has not run an exec yet may be known to a tick or two only; what is kept has to be exact. */
  private learnStarts(): void {
    const { forest, reader } = this.inputs;
    for (const process of forest.processes()) {
      if (process.startExact || process.kernelThread) continue;
      const { startTicks } = reader.read(process.pid);
      if (startTicks !== undefined) forest.learnStart(process, startTicks);
    }
  }
}
