// Stores the list of the base system in the state directory. The warden reads no package database itself, and with the
// stored list labels are the same from its first exec on and after every restart.
import { join } from "node:path";
import * as v from "valibot";
import type { BaseSystem } from "../fingerprint/base.ts";
import { writeFileAtomic } from "../linux/files.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import { parseJson } from "../vocabulary/parse-json.ts";

const file = "base.json";
/** In bytes. A host with 10,000 programs in its base system has a list of 500 KB. */
const LIMIT = 32 << 20;
const savedBase = v.strictObject({ files: v.record(v.string(), v.string()) });

/** undefined if there is no readable file, or one that another user can write: it names programs. */
export function readBase(directory: string): BaseSystem | undefined {
  const bytes = readCheckedFileOrNothing(join(directory, file), stateFile(LIMIT));
  return bytes && parseBase(bytes.toString("utf8"));
}

/** undefined for a text that `formatBase` did not make. */
export function parseBase(text: string): BaseSystem | undefined {
  const saved = parseJson(savedBase, text);
  return saved && { files: new Map(Object.entries(saved.files)) };
}

export function formatBase({ files }: BaseSystem): string {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ files: Object.fromEntries(sorted) });
}

/** Where the base system is written down in `directory`, and how. */
export function fileOfBase(directory: string, base: BaseSystem): { path: string; text: string } {
  return { path: join(directory, file), text: formatBase(base) };
}

/** Writes synchronously. The warden must not call it while it judges, because it waits for the disk. */
export function writeBase(directory: string, base: BaseSystem): void {
  const { path, text } = fileOfBase(directory, base);
  writeFileAtomic(path, text);
}

export function isSameBase(a: BaseSystem, b: BaseSystem): boolean {
  if (a.files.size !== b.files.size) return false;
  for (const [path, origin] of a.files) if (b.files.get(path) !== origin) return false;
  return true;
}
