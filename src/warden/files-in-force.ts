// Which configuration and policies are in force, whether they are those on disk, and the file that keeps them.
import type { Config } from "../config/config.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Totals } from "../report/totals.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { type WriteFile, writeNow } from "./atomic-file-writer.ts";
import type { GuardedFileSettings } from "./guarded-files.ts";
import { afterReload, formatLastGood, type LastGood, lastGoodPath, readLastGood } from "./last-good.ts";

export interface FilesInForceInputs {
  readonly stateDirectory: string;
  /** With which the run was started. */
  readonly startConfig: Config;
  readonly totals: Totals;
  readonly writeFile: WriteFile;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

/** What is kept in memory: not the copies of the files. */
type InForce = Omit<LastGood, "files" | "policies">;

export class FilesInForce {
  private readonly inputs: FilesInForceInputs;
  private inForce: InForce;

  constructor(inputs: FilesInForceInputs, lastGood: LastGood) {
    this.inputs = inputs;
    this.inForce = withoutFiles(lastGood);
    this.show();
    this.save(lastGood, inputs.writeFile);
  }

  get current(): InForce {
    return this.inForce;
  }

  /** Keeps what is in force from now on. `now`: when it returns, it is on the disk. */
  accept(lastGood: LastGood, now: boolean): void {
    this.inForce = withoutFiles(lastGood);
    this.show();
    this.save(lastGood, now ? writeNow : this.inputs.writeFile);
  }

  /** The files on disk were refused for these reasons; what is in force stays. */
  refuse(problems: readonly string[]): void {
    this.inForce = { ...this.inForce, problems: [...problems] };
    this.show();
    // The reasons stay with what is in force, for a warden that is restarted.
    const kept = readLastGood(this.inputs.stateDirectory);
    if (kept?.run === this.inForce.run)
      this.save({ ...kept, problems: [...problems] }, this.inputs.writeFile);
  }

  /** Where what is in force was read from. */
  get watched(): GuardedFileSettings {
    const { origin, config } = this.inForce;
    return {
      stateDirectory: this.inputs.stateDirectory,
      configuration: origin.file ?? undefined,
      policies: config.policies ?? [],
      keys: config.policy_keys,
    };
  }

  /** The settings that reloads have changed since the run was started, and that need another start. */
  get waiting(): readonly string[] {
    const { startConfig } = this.inputs;
    const read: Readonly<Record<string, unknown>> = this.inForce.config;
    const inForce: Readonly<Record<string, unknown>> = afterReload(startConfig, this.inForce.config);
    // A setting that the file does not have any more may have no value in what was read.
    const names = new Set([...Object.keys(read), ...Object.keys(inForce)]);
    return [...names].filter((name) => JSON.stringify(read[name]) !== JSON.stringify(inForce[name]));
  }

  private show(): void {
    const { totals } = this.inputs;
    const { problems, sinceMs } = this.inForce;
    totals.gauge("configReloadSuccessful", {}).set(problems.length === 0 ? 1 : 0);
    totals.gauge("configReloadTime", {}).set(sinceMs / 1e3);
  }

  private save(lastGood: LastGood, write: WriteFile): void {
    const { stateDirectory, recordChange } = this.inputs;
    write(lastGoodPath(stateDirectory), formatLastGood(lastGood), (error) =>
      recordChange("configuration.not_saved", { "error.message": String(error) }),
    );
  }
}

function withoutFiles({ files: _files, policies: _policies, ...inForce }: LastGood): InForce {
  return inForce;
}
