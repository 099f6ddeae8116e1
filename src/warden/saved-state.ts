// What the warden keeps in the state directory, all of it root's: the boot it is in, and the forest.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parseJson } from "../vocabulary/parse-json.ts";

const FOREST = "forest.json";

export interface Boot {
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  /** Milliseconds since the epoch at which start ticks are 0: fixed once per boot, so that a stepped clock changes no identity. */
  readonly bootTimeMs: number;
  /** Clock ticks since boot at treewarden's first start. */
  readonly firstStartTicks: number;
}

const savedBoot = v.object({ bootId: v.string(), bootTimeMs: v.number(), firstStartTicks: v.number() });

/** The boot as it was written down at treewarden's first start in it; `now` if this is that start. */
export function rememberBoot(directory: string, now: Boot): Boot {
  const path = join(directory, "boot.json");
  const earlier = readJson(savedBoot, path);
  if (earlier?.bootId === now.bootId) return earlier;
  try {
    writeWhole(path, JSON.stringify(now));
  } catch {
    // A full disk must not keep treewarden from starting. Then only what is older than this start is spared.
  }
  return now;
}

const savedState = v.object({
  /** The run that saved it. */
  run: v.string(),
  /** Checked by `restoreForest`. */
  forest: v.unknown(),
  /** Trees that were reported as new. */
  trees: v.pipe(v.array(v.string()), v.readonly()),
});

export type SavedState = Readonly<v.InferOutput<typeof savedState>>;

/** What the last run saved; undefined if it saved nothing that can be read. */
export function readState(directory: string): SavedState | undefined {
  return readJson(savedState, join(directory, FOREST));
}

/** Where the state is kept in `directory`, and how. */
export function fileOfState(directory: string, state: SavedState): { path: string; text: string } {
  return { path: join(directory, FOREST), text: JSON.stringify(state) };
}

function readJson<const TSchema extends v.GenericSchema>(
  schema: TSchema,
  path: string,
): v.InferOutput<TSchema> | undefined {
  try {
    return parseJson(schema, readFileSync(path, "utf8"));
  } catch {
    // There is no such file.
    return undefined;
  }
}

/** A reader, and a run that follows a kill -9, finds the old content or the new one, nothing in between. */
export function writeWhole(path: string, text: string): void {
  const aside = `${path}.new`;
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(aside, text, { mode: 0o600 });
  renameSync(aside, path);
}
