// Copies of the executables of killed processes, each under its digest in a folder of the state directory that only root can
// read. The warden opens empty files in advance, so that no kill waits for the disk, and the examiner, which may create
// none, writes into them. Nothing ever runs a copy.
import { constants, fstatSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import type { EventRecord } from "../report/event-record.ts";
import { messageOf } from "../vocabulary/errors.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { Payer } from "../vocabulary/shares.ts";
import type { DoLater } from "./atomic-file-writer.ts";

const FOLDER = "evidence";
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** Files that are open in advance: so many processes can be killed before the disk has answered. */
const PREPARED = 4;
const COPY_NAME = /^sha256-[0-9a-f]{64}$/;

/** An empty file that waits for a copy. */
export interface EmptyCopy {
  readonly path: string;
  readonly file: FileHandle;
}

export interface EvidenceCopiesInputs {
  readonly folder: string;
  /** The largest executable that is copied, in bytes. */
  readonly bytesOfFile: number;
  /** The room for all copies; what one user other than root, or one container, may take of it in a run is half. */
  readonly bytesOfAll: number;
  /** Distinguishes the files of this warden from those of the one before, which may still be there. */
  readonly generation: number;
  readonly doLater: DoLater;
  readonly onFailure: (error: unknown) => void;
}

/** The copies that the configuration asks for; undefined if it asks for none. `generation`: see `EvidenceCopiesInputs`. */
export function evidenceCopies(
  { evidence, state_directory }: Pick<Config, "evidence" | "state_directory">,
  generation: number,
  doLater: DoLater,
  recordChange: (event: ChangeName, details: EventRecord) => void,
): EvidenceCopies | undefined {
  if (!evidence.enabled || evidence.copy_up_to_megabytes === 0) return undefined;
  return new EvidenceCopies({
    folder: join(state_directory, FOLDER),
    bytesOfFile: evidence.copy_up_to_megabytes * 1e6,
    bytesOfAll: evidence.copies_max_megabytes * 1e6,
    generation,
    doLater,
    onFailure: (error) => recordChange("evidence.not_saved", { "error.message": messageOf(error) }),
  });
}

export class EvidenceCopies {
  private readonly inputs: EvidenceCopiesInputs;
  private readonly empty: EmptyCopy[] = [];
  private readonly names = new Set<string>();
  /** Bytes of all copies in the folder, and of those that this warden has made for each payer. */
  private bytes = 0;
  private readonly bytesOf = new Map<Payer, number>();
  private created = 0;
  private hasEnded = false;

  constructor(inputs: EvidenceCopiesInputs) {
    this.inputs = inputs;
    this.later("begin", () => this.begin());
  }

  /** See `EvidenceCopiesInputs`. */
  get bytesOfFile(): number {
    return this.inputs.bytesOfFile;
  }

  /**
   * A file for the copy of an executable, at the charge of `payers`, to be given to `keep` or `discard`. Undefined if there
   * is no room, or if too many processes are killed at once.
   */
  take(payers: readonly Payer[]): EmptyCopy | undefined {
    const { bytesOfFile, bytesOfAll } = this.inputs;
    if (this.bytes + bytesOfFile > bytesOfAll) return undefined;
    if (payers.some((payer) => (this.bytesOf.get(payer) ?? 0) >= bytesOfAll / 2)) return undefined;
    return this.empty.shift();
  }

  /** Keeps a copy whose content has this digest (`sha256:...`); returns its path, undefined if it is too large. */
  keep(copy: EmptyCopy, digest: string, payers: readonly Payer[]): string | undefined {
    const { folder, bytesOfFile } = this.inputs;
    const name = digest.replace(":", "-");
    // The examiner may have been taken over.
    const { size } = fstatSync(copy.file.fd);
    if (!COPY_NAME.test(name) || size > bytesOfFile) {
      this.discard(copy);
      return undefined;
    }
    const path = join(folder, name);
    if (this.names.has(name)) {
      this.discard(copy);
      return path;
    }
    this.names.add(name);
    this.bytes += size;
    for (const payer of payers) this.bytesOf.set(payer, (this.bytesOf.get(payer) ?? 0) + size);
    this.later(path, () => this.save(copy, path));
    return path;
  }

  /** Removes a file that was taken; a copy that is still being written ends with it. */
  discard(copy: EmptyCopy): void {
    this.later(copy.path, async () => {
      await copy.file.close();
      await rm(copy.path, { force: true });
      await this.prepare();
    });
  }

  /** Removes the files that wait for a copy: no more are made. */
  end(): void {
    this.hasEnded = true;
    for (const copy of this.empty.splice(0)) this.discard(copy);
  }

  private later(key: string, work: () => Promise<void>): void {
    this.inputs.doLater(key, work, this.inputs.onFailure);
  }

  /** Takes note of the copies that are there, and removes what an earlier warden has prepared. */
  private async begin(): Promise<void> {
    const { folder } = this.inputs;
    await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER });
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if (!COPY_NAME.test(name)) {
        await rm(path, { force: true });
        continue;
      }
      this.names.add(name);
      this.bytes += (await stat(path)).size;
    }
    for (let count = 0; count < PREPARED; count += 1) await this.prepare();
  }

  private async prepare(): Promise<void> {
    if (this.hasEnded) return;
    const { folder, generation } = this.inputs;
    this.created += 1;
    const path = join(folder, `new-${generation}-${this.created}`);
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const copy = { path, file: await open(path, O_WRONLY | O_CREAT | O_EXCL, PRIVATE_FILE) };
    this.empty.push(copy);
    // Its end may have come meanwhile.
    if (this.hasEnded) this.end();
  }

  private async save({ path: before, file }: EmptyCopy, path: string): Promise<void> {
    try {
      await file.sync();
      await rename(before, path);
    } finally {
      await file.close();
      await this.prepare();
    }
  }
}
