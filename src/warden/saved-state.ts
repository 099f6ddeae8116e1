// The warden's files in the state directory, which belong to root: the current boot, and the forest.
import { join } from "node:path";
import * as v from "valibot";
import { writeFileAtomic } from "../linux/files.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import { parseJson } from "../vocabulary/parse-json.ts";

const FOREST = "forest.json";
/** In bytes. The saved forest of 30,000 processes is some 20 MB. */
const LIMIT = 256 << 20;

export interface Boot {
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  /** The time of start tick 0, ms since the epoch: fixed once per boot, so that a stepped clock changes no identity. */
  readonly bootTimeMs: number;
  /** Clock ticks since boot at treewarden's first start. */
  readonly firstStartTicks: number;
}

const savedBoot = v.object({ bootId: v.string(), bootTimeMs: v.number(), firstStartTicks: v.number() });

/** The boot as saved at treewarden's first start in it; saves and returns `now` if this is that start. */
export function rememberBoot(directory: string, now: Boot): Boot {
  const path = join(directory, "boot.json");
  const earlier = readJson(savedBoot, path);
  if (earlier?.bootId === now.bootId) return earlier;
  try {
    writeFileAtomic(path, JSON.stringify(now));
  } catch {
    // A full disk must not prevent the start. Then only processes older than this start are spared.
  }
  return now;
}

const savedState = v.object({
  /** The run that saved this state. */
  run: v.string(),
  /** Checked by `restoreForest`. */
  forest: v.unknown(),
  /** The `Sensor.mark` up to which the forest has all events; absent if its source has none. */
  mark: v.optional(v.string()),
  /** Trees that were reported as new. */
  trees: v.pipe(v.array(v.string()), v.readonly()),
  /** Contents that were reported as changed. */
  changed: v.optional(v.pipe(v.array(v.string()), v.readonly())),
});

export type SavedState = Readonly<v.InferOutput<typeof savedState>>;

/** The state that the last run saved; undefined if there is no readable file, or one that another user can write. */
export function readState(directory: string): SavedState | undefined {
  return readJson(savedState, join(directory, FOREST));
}

/** The path and content of the state file in `directory`. */
export function fileOfState(directory: string, state: SavedState): { path: string; text: string } {
  return { path: join(directory, FOREST), text: JSON.stringify(state) };
}

function readJson<const TSchema extends v.GenericSchema>(
  schema: TSchema,
  path: string,
): v.InferOutput<TSchema> | undefined {
  const bytes = readCheckedFileOrNothing(path, stateFile(LIMIT));
  return bytes && parseJson(schema, bytes.toString("utf8"));
}
