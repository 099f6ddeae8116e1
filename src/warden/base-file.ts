// The base system as it is written down in the state directory: labels are the same from the first exec on, and after
// every restart of the warden, which reads no package database.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { BaseSystem } from "../fingerprint/base.ts";
import { writeFileAtomic } from "../linux/files.ts";
import { parseJson } from "../vocabulary/parse-json.ts";

const file = "base.json";
const savedBase = v.strictObject({ files: v.record(v.string(), v.string()) });

/** undefined if there is none that can be read. */
export function readBase(directory: string): BaseSystem | undefined {
  try {
    return parseBase(readFileSync(join(directory, file), "utf8"));
  } catch {
    return undefined;
  }
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

/** Waits for the disk, as a warden that judges must not. */
export function writeBase(directory: string, base: BaseSystem): void {
  const { path, text } = fileOfBase(directory, base);
  writeFileAtomic(path, text);
}

export function isSameBase(one: BaseSystem, other: BaseSystem): boolean {
  if (one.files.size !== other.files.size) return false;
  for (const [path, origin] of one.files) if (other.files.get(path) !== origin) return false;
  return true;
}
