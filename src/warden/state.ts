// What the warden keeps in the state directory, all of it root's: the boot it is in, and the forest.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../linux/files.ts";
import { isRecord } from "../report/wire.ts";

const FOREST = "forest.json";

export interface Boot {
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  /** Milliseconds since the epoch at which start ticks are 0: fixed once per boot, so that a stepped clock changes no identity. */
  readonly bootTimeMs: number;
  /** Clock ticks since boot at treewarden's first start. */
  readonly firstStartTicks: number;
}

/** The boot as it was written down at treewarden's first start in it; `now` if this is that start. */
export function rememberBoot(directory: string, now: Boot): Boot {
  const path = join(directory, "boot.json");
  const before = readJson(path);
  if (isRecord(before) && before.bootId === now.bootId) {
    const { bootTimeMs, firstStartTicks } = before;
    if (typeof bootTimeMs === "number" && typeof firstStartTicks === "number") {
      return { bootId: now.bootId, bootTimeMs, firstStartTicks };
    }
  }
  try {
    writeFileAtomic(path, JSON.stringify(now));
  } catch {
    // Whoever fills the disk must not keep treewarden from starting; what is spared begins with this start then.
  }
  return now;
}

export interface SavedState {
  /** The run that saved it. */
  readonly run: string;
  readonly forest: unknown;
  readonly trees: readonly string[];
}

/** What the last run saved; undefined if it saved nothing readable. */
export function readState(directory: string): SavedState | undefined {
  const value = readJson(join(directory, FOREST));
  if (typeof value !== "object" || value === null) return undefined;
  if (!("forest" in value && "trees" in value && "run" in value)) return undefined;
  const { run, forest, trees } = value;
  if (!Array.isArray(trees) || typeof run !== "string") return undefined;
  return { run, forest, trees: trees.filter((tree) => typeof tree === "string") };
}

/** Where the state is kept in `directory`, and how. */
export function fileOfState(directory: string, state: SavedState): { path: string; text: string } {
  return { path: join(directory, FOREST), text: JSON.stringify(state) };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
