// The key under which a baseline keeps a tree, and its scope. Every text of a baseline is escaped by `unambiguous`, so
// that it is printable and different names stay different; the files need no escaping of their own.
import { foldElement } from "../fingerprint/fold.ts";
import { imageName } from "../fingerprint/image-reference.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { type Tree, treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { unitOf } from "../linux/cgroup-names.ts";
import { unambiguous } from "../linux/text.ts";
import { compareTexts } from "./compare-texts.ts";

/** Fixed scopes. None can be the name of a unit, which ends in `.service` or `.scope`. */
export const scope = {
  /** Neither a container nor a unit. */
  none: "-",
  /** A container whose image is unknown, else `container/IMAGE`; the name of a unit has no slash. */
  container: "container",
} as const;

/** Identifies a tree of a baseline: a tree is known if an entry has all three properties. */
export interface Key {
  readonly scope: string;
  /** `tree.habit` */
  readonly habit: string;
  /** The leaf's runnable path, folded. */
  readonly path: string;
}

/** The unit of a user's own manager. The user chooses the names of units below it, so these are no scopes. */
const userManager = /(?:^|\/)user@[^/]*\.service(?:\/|$)/;

/**
 * The scope of a process, from its cgroup path, its container id (null on the host) and its image (undefined if
 * unknown). Undefined if the cgroup could not be read.
 */
export function scopeOf(
  cgroup: string | undefined,
  container: string | null,
  image: string | undefined,
): string | undefined {
  if (container !== null) {
    return image === undefined ? scope.container : `${scope.container}/${unambiguous(imageName(image))}`;
  }
  if (cgroup === undefined) return undefined;
  if (userManager.test(cgroup)) return "user@.service";
  const unit = unitOf(cgroup);
  return unit === null ? scope.none : unambiguous(foldElement(unit, UNIT_DIRECTORY).text);
}

/** The directory of unit files, for folds that depend on the directory. */
const UNIT_DIRECTORY = "/usr/lib/systemd/system";

/** Number of cgroup paths cached: more than an ordinary host has at a time. */
const SCOPES_CACHED = 1024;

/** `scopeOf` with a cache by cgroup path, for processes of the host. */
export class Scopes {
  /** Invalidated by: nothing, a scope depends on the path alone. */
  private readonly cache = new Map<string, string>();

  of(cgroup: string | undefined, container: string | null, image: string | undefined): string | undefined {
    if (cgroup === undefined || container !== null) return scopeOf(cgroup, container, image);
    const cached = this.cache.get(cgroup);
    if (cached !== undefined) return cached;
    // Thousands of cgroups only make the cache useless; they do not let it grow.
    if (this.cache.size >= SCOPES_CACHED) this.cache.clear();
    const created = scopeOf(cgroup, null, undefined) ?? scope.none;
    this.cache.set(cgroup, created);
    return created;
  }
}

/** Whether trees of this scope run in a container, where paths are those of its image. */
export function isImageScope(within: string): boolean {
  return within === scope.container || within.startsWith(`${scope.container}/`);
}

/** The path under which a baseline keeps a runnable; undefined if its path is unknown. */
export function baselinePath(runnable: Runnable): string | undefined {
  return runnable.folded === undefined ? undefined : unambiguous(runnable.folded);
}

/** The key of a lineage's leaf in the scope `within`; undefined if its program is unknown. */
export function keyOf(lineage: Lineage, within: string, tree: Tree = treeOf(lineage)): Key | undefined {
  const path = baselinePath(lineage.program);
  return path === undefined ? undefined : { scope: within, habit: tree.habit, path };
}

/** The proper ends of a habit, which incomplete lineages of it may have: `/a/b/c` has `/b/c` and `/c`. */
export function* properEnds(habit: string): Generator<string> {
  for (let slash = habit.indexOf("/", 1); slash !== -1; slash = habit.indexOf("/", slash + 1))
    yield habit.slice(slash);
}

/** The order of entries in a file: by scope, habit and path. */
export function compareKeys(a: Key, b: Key): number {
  return compareTexts(a.scope, b.scope) || compareTexts(a.habit, b.habit) || compareTexts(a.path, b.path);
}
