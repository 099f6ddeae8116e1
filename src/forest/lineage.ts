// Lineages as shared, counted nodes: two processes with the same ancestry point at the same node, so that a
// million short-lived children cost one node, and what is derived from a lineage is derived once.
import type { Runnable } from "./runnable.ts";
import type { Tree } from "./tree.ts";

/**
 * One process of a lineage as it was when it forked the next one down (or as it is, for the leaf), and through
 * `parent` all of its ancestors. Never changed once made. A child that runs what its parent runs, as the same user,
 * is the parent's own node.
 */
export class Lineage {
  readonly parent: Lineage | null;
  readonly program: Runnable;
  /** Images this process had by an exec of its own before `program`, oldest first, each once, at most EARLIER_LIMIT. */
  readonly earlier: readonly Runnable[];
  /** Effective user; undefined if it could not be read. */
  readonly uid: number | undefined;
  /** Container id; null on the host. */
  readonly container: string | null;
  /** Nodes from the root to here, elided ones not counted. */
  readonly depth: number;
  /** Every link up to the root was seen by an event, or taken over from the last run of the same boot. */
  readonly complete: boolean;
  /** Pid 1 of the host: not part of a tree. */
  readonly init: boolean;
  /** Distinct programs of ancestors between `parent` and here that were left out, at most ELIDED_LIMIT; null if none was. */
  readonly elided: readonly Runnable[] | null;
  /** Kept here by fingerprint/tree.ts, which derives it at the first question. Invalidated by: nothing, a node never changes. */
  tree: Tree | undefined = undefined;

  /** @internal */ readonly key: string;
  /** @internal live processes and child nodes in use that point here */
  references = 0;
  /** @internal */ children: Map<string, Lineage> | null = null;
  /** @internal The child that was asked for last. Invalidated by: `forget`, and otherwise compared with what is asked for. */
  lastChild: Lineage | null = null;

  /** @internal made by Lineages only */
  constructor(parent: Lineage | null, spec: LineageSpec, key: string) {
    this.parent = parent;
    this.program = spec.program;
    this.earlier = spec.earlier;
    this.uid = spec.uid;
    this.container = spec.container;
    this.complete = spec.complete && (parent === null || parent.complete);
    this.init = spec.init;
    this.elided = spec.elided;
    this.depth = parent === null ? 1 : parent.depth + 1;
    this.key = key;
  }
}

export interface LineageSpec {
  readonly program: Runnable;
  readonly earlier: readonly Runnable[];
  readonly uid: number | undefined;
  readonly container: string | null;
  readonly complete: boolean;
  readonly init: boolean;
  readonly elided: readonly Runnable[] | null;
}

/** A process that execs for ever keeps this many distinct earlier programs: enough for any real wrapper chain. */
export const EARLIER_LIMIT = 8;
/** A lineage of more nodes loses its middle: four times the 32 labels a tree may have, since labels collapse. */
export const DEPTH_LIMIT = 128;
const KEEP_ROOT = 64;
const KEEP_LEAF = 31;
/** Distinct programs remembered of what was left out, so that `under` still finds them. */
export const ELIDED_LIMIT = 64;

/** Nodes kept after their last process: what is started again and again is derived once. */
const IDLE_LIMIT = 256;
/** One whose key has more characters is not kept: long names are rare and would make the bound worthless. */
const IDLE_KEY = 512;

/** The node table. A node is in use while a process or a deeper node in use points at it. */
export class Lineages {
  private readonly roots = new Map<string, Lineage>();
  /**
   * Not in use, the longest idle first; what is above each is in use or here as well. Invalidated by: another program
   * of the same key (`child`), when packages have changed.
   */
  private readonly idle = new Set<Lineage>();
  /** The last of these, not in `idle` yet: mostly it is used again at once. */
  private lastIdle: Lineage | null = null;
  private nodes = 0;

  /** Nodes in use. */
  get size(): number {
    return this.nodes;
  }

  /** The node for `spec` under `parent`; `parent` itself if `spec` adds nothing to it. Not yet counted: `retain` it. */
  intern(parent: Lineage | null, spec: LineageSpec): Lineage {
    if (parent !== null) {
      if (addsNothing(parent, spec)) return parent;
      if (parent.depth >= DEPTH_LIMIT) return this.internBelowElision(parent, spec);
    }
    return this.child(parent, spec);
  }

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

  release(node: Lineage): void {
    let current: Lineage | null = node;
    while (current !== null) {
      current.references -= 1;
      if (current.references > 0) return;
      this.nodes -= 1;
      this.rest(current);
      current = current.parent;
    }
  }

  private rest(node: Lineage): void {
    if (node.key.length > IDLE_KEY) {
      this.forget(node);
      return;
    }
    if (this.lastIdle !== null) this.idle.add(this.lastIdle);
    this.lastIdle = node;
    if (this.idle.size < IDLE_LIMIT) return;
    const [oldest] = this.idle;
    if (oldest !== undefined) this.forget(oldest);
  }

  private leaveIdle(node: Lineage): void {
    if (node === this.lastIdle) this.lastIdle = null;
    else this.idle.delete(node);
  }

  /** With all that is below it, or that would hold what nobody counts. */
  private forget(node: Lineage): void {
    this.leaveIdle(node);
    const siblings = node.parent === null ? this.roots : node.parent.children;
    siblings?.delete(node.key);
    if (node.parent?.lastChild === node) node.parent.lastChild = null;
    for (const child of node.children?.values() ?? []) this.forget(child);
  }

  private child(parent: Lineage | null, spec: LineageSpec): Lineage {
    const last = parent?.lastChild ?? null;
    if (last !== null && isOf(last, spec)) return last;
    const key = keyOf(spec);
    let siblings = this.roots;
    if (parent !== null) {
      parent.children ??= new Map();
      siblings = parent.children;
    }
    const known = siblings.get(key);
    if (known !== undefined) {
      // The same file may be called otherwise by now: packages have changed.
      if (known.references > 0 || known.program === spec.program) {
        if (parent !== null) parent.lastChild = known;
        return known;
      }
      this.forget(known);
    }
    const made = new Lineage(parent, spec, key);
    siblings.set(key, made);
    if (parent !== null) parent.lastChild = made;
    return made;
  }

  /** Rebuilds the last KEEP_LEAF nodes below the first KEEP_ROOT ones, and then adds `spec`. */
  private internBelowElision(leaf: Lineage, spec: LineageSpec): Lineage {
    const tail: Lineage[] = [];
    const lost = new Map<string, Runnable>();
    let current: Lineage = leaf;
    while (current.depth > KEEP_ROOT && current.parent !== null) {
      if (tail.length < KEEP_LEAF) tail.push(current);
      else remember(lost, current);
      for (const program of current.elided ?? [])
        if (lost.size < ELIDED_LIMIT) lost.set(program.key, program);
      current = current.parent;
    }
    let elided: readonly Runnable[] | null = [...lost.values()];
    for (const node of tail.reverse()) {
      current = this.child(current, {
        program: node.program,
        earlier: node.earlier,
        uid: node.uid,
        container: node.container,
        complete: leaf.complete,
        init: false,
        elided,
      });
      elided = null;
    }
    return this.child(current, spec);
  }
}

function remember(lost: Map<string, Runnable>, node: Lineage): void {
  if (lost.size < ELIDED_LIMIT) lost.set(node.program.key, node.program);
  for (const program of node.earlier) if (lost.size < ELIDED_LIMIT) lost.set(program.key, program);
}

function addsNothing(parent: Lineage, spec: LineageSpec): boolean {
  return (
    parent.program.key === spec.program.key &&
    parent.uid === spec.uid &&
    parent.container === spec.container &&
    (spec.complete || !parent.complete) &&
    spec.earlier.length === 0 &&
    spec.elided === null &&
    !parent.init
  );
}

/** The node is one for `spec`; false also where only its key can tell: with programs that were left out or came before. */
function isOf(node: Lineage, spec: LineageSpec): boolean {
  return (
    node.program === spec.program &&
    node.uid === spec.uid &&
    node.container === spec.container &&
    node.complete === spec.complete &&
    node.init === spec.init &&
    node.elided === null &&
    spec.elided === null &&
    node.earlier.length === 0 &&
    spec.earlier.length === 0
  );
}

function keyOf(spec: LineageSpec): string {
  let key = `${spec.uid ?? "?"}\u0000${spec.complete ? 1 : 0}${spec.init ? 1 : 0}\u0000${spec.container ?? ""}\u0000${spec.program.key}`;
  for (const program of spec.earlier) key += `\u0001${program.key}`;
  if (spec.elided !== null) {
    key += "\u0002";
    for (const program of spec.elided) key += `\u0001${program.key}`;
  }
  return key;
}
