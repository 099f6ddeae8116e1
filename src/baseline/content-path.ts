// The path by which the contents of a runnable's file are known, if they are compared at all.
import { mergedPath } from "../fingerprint/path.ts";
import { isBelowTemporaryDirectory } from "../fingerprint/randomness.ts";
import type { Runnable } from "../forest/runnable.ts";
import { unambiguous } from "../linux/text.ts";
import { comparedPath } from "./compared-path.ts";

/** A path whose contents are compared: as it is, and as a baseline compares it (`comparedPath`). */
export interface ContentPath {
  readonly path: string;
  readonly compared: string;
}

/** Invalidated by: nothing, the path of a runnable does not change. null: its contents are not compared. */
const contentPaths = new WeakMap<Runnable, ContentPath | null>();

/**
 * The path by which the contents of a runnable are known: its own, if folding leaves it as it is and it is not below a
 * temporary directory. Otherwise null: another file at each run is ordinary there.
 */
export function contentPath(runnable: Runnable): ContentPath | null {
  const known = contentPaths.get(runnable);
  if (known !== undefined) return known;
  const made = makeContentPath(runnable);
  contentPaths.set(runnable, made);
  return made;
}

function makeContentPath({ path, folded }: Runnable): ContentPath | null {
  if (path === undefined || path !== folded || !path.startsWith("/")) return null;
  if (isBelowTemporaryDirectory(path) || comparedPath(path) !== mergedPath(path)) return null;
  return { path, compared: comparedPath(unambiguous(path)) };
}
