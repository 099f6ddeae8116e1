// The path by which a baseline knows the contents of a runnable.
import { mergedPath } from "../fingerprint/path.ts";
import { isBelowTemporaryDirectory } from "../fingerprint/randomness.ts";
import type { Runnable } from "../forest/runnable.ts";
import { comparedPath } from "./compared-path.ts";

/**
 * The path by which the contents of a runnable are known: its own, if folding leaves it as it is and it is not below a
 * temporary directory. Otherwise undefined: another file at each run is ordinary there.
 */
export function contentPath({ path, folded }: Runnable): string | undefined {
  if (path === undefined || path !== folded || !path.startsWith("/")) return undefined;
  if (isBelowTemporaryDirectory(path) || comparedPath(path) !== mergedPath(path)) return undefined;
  return path;
}
