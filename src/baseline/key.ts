// Where a tree belongs and under which name a baseline keeps it. Every text of this room is escaped as `unambiguous`
// has it: printable, no two different names alike, so that files need no escaping of their own.
import { foldElement } from "../fingerprint/fold.ts";
import { imageName } from "../fingerprint/image-reference.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { type Tree, treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { unitOf } from "../linux/cgroup-names.ts";
import { unambiguous } from "../linux/text.ts";

/** Scopes that have no name of their own. None can be a unit, which ends in `.service` or `.scope`. */
export const scope = {
  /** Neither container nor unit. */
  none: "-",
  /** A container whose image is not known; `container/IMAGE` if it is: no unit has a slash. */
  container: "container",
} as const;

/** A tree of a baseline: known are those of which all three are in it. */
export interface Key {
  readonly scope: string;
  /** `tree.exact` */
  readonly exact: string;
  /** The leaf's runnable path, folded. */
  readonly path: string;
}

/** The unit of a user's own manager: below it, names are the user's to choose, so that they cannot be a scope. */
const userManager = /(?:^|\/)user@[^/]*\.service(?:\/|$)/;

/**
 * The scope of a process by its cgroup path and its container (id, null on the host; image, undefined if not known).
 * undefined if the cgroup could not be read.
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
  return unit === null ? scope.none : unambiguous(foldElement(unit, UNITS).text);
}

/** Where units are as files, for folds that look at the directory. */
const UNITS = "/usr/lib/systemd/system";

/** cgroup paths remembered: more than an ordinary host has at a time. */
const SCOPES_REMEMBERED = 1024;

/** `scopeOf`, remembered for each cgroup of the host. */
export class Scopes {
  /** Invalidated by: nothing, a scope follows from the path alone. */
  private readonly known = new Map<string, string>();

  of(cgroup: string | undefined, container: string | null, image: string | undefined): string | undefined {
    if (cgroup === undefined || container !== null) return scopeOf(cgroup, container, image);
    const before = this.known.get(cgroup);
    if (before !== undefined) return before;
    // Whoever makes up cgroups by the thousand makes everybody's be worked out again, and nothing grow.
    if (this.known.size >= SCOPES_REMEMBERED) this.known.clear();
    const made = scopeOf(cgroup, null, undefined) ?? scope.none;
    this.known.set(cgroup, made);
    return made;
  }
}

/** The path under which a baseline keeps a runnable; undefined if what is run is not known. */
export function keptPath(runnable: Runnable): string | undefined {
  return runnable.folded === undefined ? undefined : unambiguous(runnable.folded);
}

/** The key of a lineage's leaf; undefined if what it runs is not known. */
export function keyOf(lineage: Lineage, within: string, tree: Tree = treeOf(lineage)): Key | undefined {
  const path = keptPath(lineage.program);
  return path === undefined ? undefined : { scope: within, exact: tree.exact, path };
}

/** The longer trees that an incomplete one may be the end of, seen from the longer one: `/a/b/c` has `/b/c` and `/c`. */
export function* properEnds(exact: string): Generator<string> {
  for (let at = exact.indexOf("/", 1); at !== -1; at = exact.indexOf("/", at + 1)) yield exact.slice(at);
}

/** Compares by UTF-16 units: the same order on every host, whatever its language. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The order of entries in a file: by scope, tree and path. */
export function compareKeys(a: Key, b: Key): number {
  return compareTexts(a.scope, b.scope) || compareTexts(a.exact, b.exact) || compareTexts(a.path, b.path);
}
