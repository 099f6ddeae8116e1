// Carries out the decisions of a review. Each is on the disk, and in force if a warden runs, before the next question, so
// that an interrupted review loses nothing.
import { statSync } from "node:fs";
import { join } from "node:path";
import type { BaselineFile } from "../../baseline/baseline-file.ts";
import type { BaselineEntry } from "../../baseline/entry.ts";
import type { Exclusion } from "../../baseline/exclusions.ts";
import { IN_FORCE } from "../../baseline/file-names.ts";
import { loadInWarden } from "../request-warden.ts";
import { appendExclusions, mergedFile, readInForce, writeInForce } from "./store.ts";

export class Decisions {
  private readonly stateDirectory: string;
  /** The baseline in force. Invalidated by: another `identity` of its file, because another command has replaced it. */
  private inForce: BaselineFile | undefined;
  private identity = "";

  constructor(stateDirectory: string) {
    this.stateDirectory = stateDirectory;
  }

  /** Puts entries into force. */
  async accept(entries: readonly BaselineEntry[]): Promise<void> {
    if (this.identity === "" || this.identity !== this.currentIdentity())
      this.inForce = readInForce(this.stateDirectory);
    this.inForce = mergedFile(this.inForce, entries, undefined);
    writeInForce(this.stateDirectory, this.inForce);
    this.identity = this.currentIdentity();
    await this.load();
  }

  async exclude(exclusions: readonly Exclusion[]): Promise<void> {
    appendExclusions(this.stateDirectory, exclusions);
    await this.load();
  }

  /** The file is replaced whole with every change, so a changed file has another inode or another time. */
  private currentIdentity(): string {
    const file = statSync(join(this.stateDirectory, IN_FORCE), { bigint: true, throwIfNoEntry: false });
    return file === undefined ? "" : `${file.dev}:${file.ino}:${file.mtimeNs}`;
  }

  /** Without a running warden, the decision takes effect at its next start. */
  private async load(): Promise<void> {
    await loadInWarden(this.stateDirectory, "reload-baseline");
  }
}
