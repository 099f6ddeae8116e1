// Lineages as shared, reference-counted nodes: two processes with the same ancestry point at the same node, so that a
// million short-lived children need one node, and each tree is derived once.
import type { Runnable } from "./runnable.ts";
import type { Tree } from "./tree.ts";

/**
 * One process of a lineage as it was when it forked the process below it (the leaf: as it is now). `parent` leads to
 * all ancestors. A node never changes. A child that runs the same program as its parent, as the same user, shares the
 * parent's node.
 */
export class Lineage {
  readonly parent: Lineage | null;
  readonly program: Runnable;
  /** Distinct programs that this process itself executed before `program`, oldest first, at most EARLIER_LIMIT. */
  readonly earlier: readonly Runnable[];
  /** Effective user; undefined if it could not be read. */
  readonly uid: number | undefined;
  /** Container id; null on the host. */
  readonly container: string | null;
  /** Number of nodes from the root to this one, without elided ones. */
  readonly depth: number;
  /** Every link up to the root comes from a fork event, or from an earlier run within the same boot. */
  readonly complete: boolean;
  /** A link up to the root was found while events were being lost, or its ancestors were never seen. */
  readonly uncertain: boolean;
  /** Pid 1 of the host, which is not part of any tree. */
  readonly init: boolean;
  /** Distinct programs of the elided ancestors between `parent` and this node, at most ELIDED_LIMIT; null if none. */
  readonly elided: readonly Runnable[] | null;
  /** Cache of fingerprint/tree.ts, which derives the tree on demand. Invalidated by: nothing, a node never changes. */
  tree: Tree | undefined = undefined;

  /** @internal */ readonly key: string;
  /** @internal Number of live processes and of child nodes in use that point to this node. */
  references = 0;
  /** @internal */ children: Map<string, Lineage> | null = null;
  /** @internal The child that was interned last. Invalidated by: `forget`. Each use compares it with the spec. */
  lastChild: Lineage | null = null;

  /** @internal Only Lineages creates nodes. */
  constructor(parent: Lineage | null, spec: LineageSpec, key: string) {
    this.parent = parent;
    this.program = spec.program;
    this.earlier = spec.earlier;
    this.uid = spec.uid;
    this.container = spec.container;
    this.complete = spec.complete && (parent === null || parent.complete);
    this.uncertain = isUncertain(parent, spec);
    this.init = spec.init;
    this.elided = spec.elided;
    this.depth = parent === null ? 1 : parent.depth + 1;
    this.key = key;
  }
}

/** The properties of a node to be interned; see `Lineage`. */
export interface LineageSpec {
  readonly program: Runnable;
  readonly earlier: readonly Runnable[];
  readonly uid: number | undefined;
  readonly container: string | null;
  readonly complete: boolean;
  /** Default: as its parent. */
  readonly uncertain?: boolean;
  readonly init: boolean;
  readonly elided: readonly Runnable[] | null;
}

function isUncertain(parent: Lineage | null, spec: LineageSpec): boolean {
  return spec.uncertain === true || parent?.uncertain === true;
}

/** Maximum number of earlier programs of a node: enough for any real chain of wrappers. */
export const EARLIER_LIMIT = 8;
/** A longer lineage loses its middle. Four times the 32 labels of a tree, because equal labels collapse. */
export const DEPTH_LIMIT = 128;
const KEEP_ROOT = 64;
const KEEP_LEAF = 31;
/** Maximum number of distinct elided programs that are kept, so that the operator `under` still finds them. */
export const ELIDED_LIMIT = 64;

/** Number of unused nodes that are kept, so that the tree of a program that runs repeatedly is derived once. */
const IDLE_LIMIT = 256;
/** Unused nodes with longer keys (in characters) are not kept, which bounds the memory of all unused nodes. */
const IDLE_KEY_LENGTH = 512;

/** The table of nodes. A node is in use while a process, or a deeper node in use, points to it. */
export class Lineages {
  private readonly roots = new Map<string, Lineage>();
  /**
   * Unused nodes, the longest unused first. The parent of each is in use or in this set. Invalidated by: another
   * program of the same key (see `child`), after packages have changed.
   */
  private readonly idle = new Set<Lineage>();
  /** The node that has come out of use last, which is not in `idle` yet: most often it is used again at once. */
  private lastIdle: Lineage | null = null;
  private nodes = 0;

  /** Number of nodes in use. */
  get size(): number {
    return this.nodes;
  }

  /** The node for `spec` below `parent`, or `parent` itself if `spec` adds nothing. To keep it, `retain` it. */
  intern(parent: Lineage | null, spec: LineageSpec): Lineage {
    if (parent !== null) {
      if (addsNothing(parent, spec)) return parent;
      if (parent.depth >= DEPTH_LIMIT) return this.internBelowElision(parent, spec);
    }
    return this.child(parent, spec);
  }

  /** Adds a reference to `node`. */
  retain(node: Lineage): void {
    let current: Lineage | null = node;
    while (current !== null) {
      current.references += 1;
      if (current.references > 1) return;
      this.leaveIdle(current);
      this.nodes += 1;
      current = current.parent;
    }
  }

  /** Drops a reference that `retain` added. */
  release(node: Lineage): void {
    let current: Lineage | null = node;
    while (current !== null) {
      current.references -= 1;
      if (current.references > 0) return;
      this.nodes -= 1;
      this.keepIdle(current);
      current = current.parent;
    }
  }

  private keepIdle(node: Lineage): void {
    if (node.key.length > IDLE_KEY_LENGTH) {
      this.forget(node);
      return;
    }
    const before = this.lastIdle;
    this.lastIdle = node;
    if (before === null) return;
    this.idle.add(before);
    if (this.idle.size < IDLE_LIMIT) return;
    const [oldest] = this.idle;
    if (oldest !== undefined) this.forget(oldest);
  }

  private leaveIdle(node: Lineage): void {
    if (node === this.lastIdle) this.lastIdle = null;
    else this.idle.delete(node);
  }

  /** Removes a node from the table together with its descendants, which would otherwise hold uncounted nodes. */
  private forget(node: Lineage): void {
    this.leaveIdle(node);
    const siblings = node.parent === null ? this.roots : node.parent.children;
    siblings?.delete(node.key);
    if (node.parent?.lastChild === node) node.parent.lastChild = null;
    for (const child of node.children?.values() ?? []) this.forget(child);
  }

  private child(parent: Lineage | null, spec: LineageSpec): Lineage {
    const last = parent?.lastChild ?? null;
    if (last !== null && isFor(last, spec)) return last;
    const key = keyOf(spec);
    let siblings = this.roots;
    if (parent !== null) {
      parent.children ??= new Map();
      siblings = parent.children;
    }
    const existing = siblings.get(key);
    if (existing !== undefined) {
      // After packages have changed, the same file may have another label: an unused node is replaced.
      if (existing.references > 0 || existing.program === spec.program) {
        if (parent !== null) parent.lastChild = existing;
        return existing;
      }
      this.forget(existing);
    }
    const created = new Lineage(parent, spec, key);
    siblings.set(key, created);
    if (parent !== null) parent.lastChild = created;
    return created;
  }

  /** Rebuilds the last KEEP_LEAF nodes below the first KEEP_ROOT ones, then adds `spec`. */
  private internBelowElision(leaf: Lineage, spec: LineageSpec): Lineage {
    const tail: Lineage[] = [];
    const dropped = new Map<string, Runnable>();
    let current: Lineage = leaf;
    while (current.depth > KEEP_ROOT && current.parent !== null) {
      if (tail.length < KEEP_LEAF) tail.push(current);
      else collectPrograms(dropped, current);
      for (const program of current.elided ?? [])
        if (dropped.size < ELIDED_LIMIT) dropped.set(program.key, program);
      current = current.parent;
    }
    let elided: readonly Runnable[] | null = [...dropped.values()];
    for (const node of tail.reverse()) {
      current = this.child(current, {
        program: node.program,
        earlier: node.earlier,
        uid: node.uid,
        container: node.container,
        complete: leaf.complete,
        uncertain: leaf.uncertain,
        init: false,
        elided,
      });
      elided = null;
    }
    return this.child(current, spec);
  }
}

/** Adds the programs of an elided node to `dropped`, up to ELIDED_LIMIT. */
function collectPrograms(dropped: Map<string, Runnable>, node: Lineage): void {
  if (dropped.size < ELIDED_LIMIT) dropped.set(node.program.key, node.program);
  for (const program of node.earlier) if (dropped.size < ELIDED_LIMIT) dropped.set(program.key, program);
}

function addsNothing(parent: Lineage, spec: LineageSpec): boolean {
  return (
    parent.program.key === spec.program.key &&
    parent.uid === spec.uid &&
    parent.container === spec.container &&
    (spec.complete || !parent.complete) &&
    (spec.uncertain !== true || parent.uncertain) &&
    spec.earlier.length === 0 &&
    spec.elided === null &&
    !parent.init
  );
}

/** A cheap comparison with `spec`. False also if either has elided or earlier programs, which only keys compare. */
function isFor(node: Lineage, spec: LineageSpec): boolean {
  return (
    node.program === spec.program &&
    node.uid === spec.uid &&
    node.container === spec.container &&
    node.complete === spec.complete &&
    node.uncertain === isUncertain(node.parent, spec) &&
    node.init === spec.init &&
    node.elided === null &&
    spec.elided === null &&
    node.earlier.length === 0 &&
    spec.earlier.length === 0
  );
}

function keyOf(spec: LineageSpec): string {
  let key = `${spec.uid ?? "?"}\u0000${spec.complete ? 1 : 0}${spec.init ? 1 : 0}${spec.uncertain === true ? "u" : ""}\u0000${spec.container ?? ""}\u0000${spec.program.key}`;
  for (const program of spec.earlier) key += `\u0001${program.key}`;
  if (spec.elided !== null) {
    key += "\u0002";
    for (const program of spec.elided) key += `\u0001${program.key}`;
  }
  return key;
}

/** The distinct earlier programs of a process that now runs `program`; beyond EARLIER_LIMIT the oldest are kept. */
export function withEarlier(previous: Lineage, program: Runnable): readonly Runnable[] {
  const { earlier, program: replaced } = previous;
  if (replaced.key === program.key || earlier.some(({ key }) => key === replaced.key)) return earlier;
  return earlier.length >= EARLIER_LIMIT ? earlier : [...earlier, replaced];
}

/** A node below `parent` that is in no table; `parent` itself if `spec` adds nothing, undefined if it is as deep as can be. */
export function detachedLineage(parent: Lineage | null, spec: LineageSpec): Lineage | undefined {
  if (parent === null) return new Lineage(null, spec, "");
  if (addsNothing(parent, spec)) return parent;
  return parent.depth >= DEPTH_LIMIT ? undefined : new Lineage(parent, spec, "");
}
