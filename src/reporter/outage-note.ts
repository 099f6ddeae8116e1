// What a reporter that is killed while the journal cannot be written leaves to the next one: how many records it took
// that are not in the journal. The file has its full size from the start and is only overwritten, so that a full disk
// does not matter (as long as its file system overwrites in place).
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import * as v from "valibot";
import type { WardenOfRun } from "./journal.ts";

/** Relative to the state directory. */
export const OUTAGE_FILE = "report/outage.json";
/** The size of the file in bytes: more than the longest note, padded by spaces. */
const SIZE = 512;

export interface Outage extends WardenOfRun {
  /** Records that were taken and are not in the journal. */
  readonly missing: number;
  /** How many of them are of the warden with this generation, which sends again what was not acknowledged. */
  readonly ofWarden: number;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const StoredOutage = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ run: v.string(), generation: count, missing: count, ofWarden: count }),
);

export class OutageNote implements Disposable {
  /** Undefined if the file cannot be opened or made; then nothing is noted. */
  private readonly fd: number | undefined;
  private isEmpty = false;

  constructor(path: string) {
    this.fd = opened(path);
  }

  /** What the last reporter noted; undefined if it had nothing to note. */
  read(): Outage | undefined {
    if (this.fd === undefined) return undefined;
    const bytes = Buffer.alloc(SIZE);
    const length = readSync(this.fd, bytes, 0, SIZE, 0);
    const result = v.safeParse(StoredOutage, bytes.toString("utf8", 0, length));
    return result.success ? result.output : undefined;
  }

  /** Replaces the note; undefined if nothing is missing. */
  write(outage: Outage | undefined): void {
    if (this.fd === undefined || (outage === undefined && this.isEmpty)) return;
    this.isEmpty = outage === undefined;
    try {
      writeSync(this.fd, (outage === undefined ? "" : JSON.stringify(outage)).padEnd(SIZE), 0);
    } catch {
      // A disk that cannot even be overwritten: the journal's own error is reported.
    }
  }

  [Symbol.dispose](): void {
    if (this.fd !== undefined) closeSync(this.fd);
  }
}

function opened(path: string): number | undefined {
  try {
    return openSync(path, "r+");
  } catch {
    return created(path);
  }
}

function created(path: string): number | undefined {
  try {
    const fd = openSync(path, "w+", 0o600);
    writeSync(fd, " ".repeat(SIZE), 0);
    return fd;
  } catch {
    return undefined;
  }
}
