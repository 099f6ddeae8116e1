// The base list by which programs get their names, and its replacement when packages have changed.
import { type BaseSystem, embeddedBase } from "../fingerprint/base.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { WriteFile } from "./atomic-file-writer.ts";
import { fileOfBase, isSameBase, readBase } from "./base-file.ts";
import type { Epoch } from "./epoch.ts";

export interface BaseListInputs {
  readonly stateDirectory: string;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  readonly writeFile: WriteFile;
  /** Raised when the list changes. */
  readonly epoch: Epoch;
  /** See `IdentifierOptions.mayScore`. */
  readonly mayScore: (uid: number | undefined) => boolean;
}

export class BaseList {
  private readonly inputs: BaseListInputs;
  private base: BaseSystem;
  private identifier: (facts: ProcessFacts) => Runnable;

  /** Begins with the list that `run` or an earlier warden saved, else with the embedded one. */
  constructor(inputs: BaseListInputs) {
    this.inputs = inputs;
    this.base = readBase(inputs.stateDirectory) ?? embeddedBase;
    this.identifier = createIdentifier({ base: this.base, mayScore: inputs.mayScore });
  }

  get current(): BaseSystem {
    return this.base;
  }

  identify(facts: ProcessFacts): Runnable {
    return this.identifier(facts);
  }

  /** Names what runs from now on by another list, and saves it. A list with the same content changes nothing. */
  replace(base: BaseSystem): void {
    if (isSameBase(base, this.base)) return;
    this.base = base;
    this.identifier = createIdentifier({ base, mayScore: this.inputs.mayScore });
    const { stateDirectory, recordChange, writeFile, epoch } = this.inputs;
    epoch.raise("base system");
    recordChange("base.changed", { "base.programs": base.files.size });
    const { path, text } = fileOfBase(stateDirectory, base);
    writeFile(path, text, (error) => recordChange("base.not_saved", { "error.message": String(error) }));
  }
}
