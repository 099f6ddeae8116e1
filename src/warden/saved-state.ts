// What the warden keeps in the state directory, all of it root's: the boot it is in, and the forest.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

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
  if (isBoot(before) && before.bootId === now.bootId) return before;
  try {
    writeWhole(path, JSON.stringify(now));
  } catch {
    // Whoever fills the disk must not keep treewarden from starting; what is spared begins with this start then.
  }
  return now;
}

function isBoot(value: unknown): value is Boot {
  if (typeof value !== "object" || value === null) return false;
  if (!("bootId" in value && "bootTimeMs" in value && "firstStartTicks" in value)) return false;
  return typeof value.bootTimeMs === "number" && typeof value.firstStartTicks === "number";
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

/** A reader, and a run that follows a kill -9, finds the old content or the new one, nothing in between. */
export function writeWhole(path: string, text: string): void {
  const aside = `${path}.new`;
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(aside, text, { mode: 0o600 });
  renameSync(aside, path);
}
