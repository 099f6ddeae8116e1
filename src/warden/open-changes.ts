// Reports when a change begins and when it has ended, each once, also if the warden is restarted in between.
import { join } from "node:path";
import * as v from "valibot";
import { timeText } from "../baseline/baseline-file.ts";
import { EXCLUSIONS_LIMIT, type Exclusion } from "../baseline/exclusions.ts";
import { OPEN_CHANGES } from "../baseline/file-names.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import type { WriteFile } from "./atomic-file-writer.ts";

interface OpenChangesInputs {
  readonly stateDirectory: string;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  readonly writeFile: WriteFile;
}

/** A thousand ids of 64 characters. */
const FILE_LIMIT = 1 << 18;

const savedChanges = v.object({
  version: v.literal(1),
  /** Ids of changes. */
  open: v.pipe(v.array(v.string()), v.maxLength(EXCLUSIONS_LIMIT)),
});

export class OpenChanges {
  private readonly inputs: OpenChangesInputs;
  private readonly path: string;
  private ids: ReadonlySet<string>;

  constructor(inputs: OpenChangesInputs) {
    this.inputs = inputs;
    this.path = join(inputs.stateDirectory, OPEN_CHANGES);
    const saved = readCheckedFileOrNothing(this.path, stateFile(FILE_LIMIT));
    this.ids = new Set((saved && parseJson(savedChanges, saved.toString("utf8")))?.open);
  }

  /** `current`: all exclusions that have not ended. */
  update(current: readonly Exclusion[]): void {
    const windows = Map.groupBy(
      current.filter(({ change }) => change !== undefined),
      ({ change }) => change?.id ?? "",
    );
    const ended = [...this.ids].filter((id) => !windows.has(id));
    const begun = [...windows].filter(([id]) => !this.ids.has(id));
    if (ended.length + begun.length === 0) return;
    const { recordChange } = this.inputs;
    for (const id of ended) recordChange("change.ended", { "change.id": id });
    for (const [id, exclusions] of begun)
      recordChange("change.began", { "change.id": id, ...detailsOf(exclusions) });
    this.ids = new Set(windows.keys());
    const text = JSON.stringify({ version: 1, open: [...this.ids].sort() });
    this.inputs.writeFile(this.path, text, (error) =>
      recordChange("baseline.not_saved", { "error.message": String(error) }),
    );
  }
}

function detailsOf(windows: readonly Exclusion[]): EventRecord {
  const ends = windows.flatMap(({ until }) => until ?? []);
  const users = windows.flatMap(({ user }) => user ?? []);
  return {
    "change.under": windows.flatMap(({ change }) => change?.under ?? []),
    "change.until": timeText(Math.max(...ends)),
    ...(users.length === 0 ? {} : { "change.user_ids": [...new Set(users)] }),
  };
}
