// The baseline in force: what a host is known to run. Built once from files that only root writes, then only asked.
import { type Tree, treeId, treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { DigestTable, digest, digestIs } from "./digests.ts";
import type { BaselineEntry } from "./entry.ts";
import { keptPath, properEnds } from "./key.ts";

/** What a policy asks of the baseline (`tree.known` and so on). A name that is not there is not known. */
export interface Knowledge {
  readonly known?: boolean;
  readonly familiar?: boolean;
  /** Seconds since the baseline first saw it: the exact tree if that is known, else the folded one. */
  readonly age?: number;
  readonly count?: number;
}

/** What the baseline has of one lineage in one scope. It does not change. */
export interface LookupResult {
  /** undefined: it cannot be told, because what is run, or its scope, could not be read. */
  readonly known: boolean | undefined;
  readonly familiar: boolean;
  /** Seconds since the epoch; undefined if neither known nor familiar. */
  readonly first: number | undefined;
  readonly count: number | undefined;
}

/** The result for one scope of a lineage. */
interface Cached extends LookupResult {
  readonly scope: string | undefined;
  readonly next: Cached | undefined;
  /** The last answer, and its second. Invalidated by: the next second, since `age` grows. */
  second: number;
  knowledge: Knowledge | undefined;
}

/** Scopes of one lineage remembered; whoever runs the same under more has it worked out again. */
const SCOPES_OF_LINEAGE = 8;
const LEAST_ROWS = 64;

/** When first seen and how often, by number. */
class Occurrences {
  first = new Float64Array(LEAST_ROWS);
  count = new Float64Array(LEAST_ROWS);
  length = 0;

  add(first: number, count: number): number {
    if (this.length === this.first.length) {
      this.first = enlarged(this.first);
      this.count = enlarged(this.count);
    }
    this.first[this.length] = first;
    this.count[this.length] = count;
    this.length += 1;
    return this.length - 1;
  }

  firstOf(row: number): number {
    return this.first[row] ?? 0;
  }
}

function enlarged(array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(Math.ceil(array.length * 1.5));
  larger.set(array);
  return larger;
}

/**
 * The set. Entries may come from several files, a role's and the host's own. Four tables: whole trees, those of them
 * that are incomplete, and for the comparison of incomplete lineages the ends of all trees and of incomplete ones.
 */
export class Baseline {
  private readonly whole = new DigestTable();
  private readonly incomplete = new DigestTable();
  private readonly ends = new DigestTable();
  private readonly incompleteEnds = new DigestTable();
  private readonly folded = new DigestTable();
  private readonly sights = new Occurrences();
  private readonly foldedSights = new Occurrences();
  /** Invalidated by: nothing, the set does not change after the first question; a reload makes another Baseline. */
  private readonly cache = new WeakMap<Lineage, Cached>();
  /** Invalidated by: nothing, likewise. */
  private readonly familiarTrees = new WeakMap<Tree, boolean>();

  /** Entries added, those of the same key once. */
  get size(): number {
    return this.whole.size;
  }

  /** Before the first question: what was asked before may be answered from the cache. */
  add(entry: BaselineEntry): void {
    const within = prefixOf(entry.scope, entry.path);
    const row = this.sights.add(entry.first, entry.count);
    this.keepEarliest(this.whole, within + entry.exact, row);
    if (!entry.complete) this.keepEarliest(this.incomplete, within + entry.exact, row);
    for (const end of properEnds(entry.exact)) {
      this.keepEarliest(this.ends, within + end, row);
      if (!entry.complete) this.keepEarliest(this.incompleteEnds, within + end, row);
    }
    digestIs(treeId(entry.tree));
    const before = this.folded.get();
    if (before === -1) {
      this.folded.set(this.foldedSights.add(entry.first, entry.count));
      return;
    }
    const { first, count } = this.foldedSights;
    first[before] = Math.min(first[before] ?? 0, entry.first);
    count[before] = (count[before] ?? 0) + entry.count;
  }

  /**
   * What is known of a lineage's leaf in a scope (`Scopes.of`; undefined if it could not be read) at `second`, seconds
   * since the epoch. While the lineage lives this is a lookup that makes nothing but one small object a second.
   */
  knowledge(lineage: Lineage, scope: string | undefined, second: number): Knowledge {
    const standing = this.cached(lineage, scope);
    if (standing.knowledge !== undefined && standing.second === second) return standing.knowledge;
    const made = knowledgeOf(standing, second);
    standing.knowledge = made;
    standing.second = second;
    return made;
  }

  /** What the baseline has of a lineage's leaf. */
  standing(lineage: Lineage, scope: string | undefined): LookupResult {
    return this.cached(lineage, scope);
  }

  /** Whether a tree is known: the same question for one that was written down. */
  knows(entry: Pick<BaselineEntry, "scope" | "exact" | "path" | "complete">): boolean {
    return this.find(entry.scope, entry.path, entry.exact, entry.complete) !== -1;
  }

  /** Whether the folded tree is in the baseline. */
  isFamiliar(tree: Tree): boolean {
    const known = this.familiarTrees.get(tree);
    if (known !== undefined) return known;
    digestIs(tree.id);
    const familiar = this.folded.get() !== -1;
    this.familiarTrees.set(tree, familiar);
    return familiar;
  }

  private cached(lineage: Lineage, scope: string | undefined): Cached {
    const head = this.cache.get(lineage);
    let depth = 0;
    for (let one = head; one !== undefined; one = one.next) {
      if (one.scope === scope) return one;
      depth += 1;
    }
    const next = depth < SCOPES_OF_LINEAGE ? head : undefined;
    const made = { ...this.workOut(lineage, scope), scope, next, second: -1, knowledge: undefined };
    this.cache.set(lineage, made);
    return made;
  }

  private workOut(lineage: Lineage, scope: string | undefined): LookupResult {
    const tree = treeOf(lineage);
    const path = keptPath(lineage.program);
    const told = path !== undefined && scope !== undefined;
    const row = told ? this.find(scope, path, tree.exact, tree.complete) : -1;
    digestIs(tree.id);
    const foldedRow = this.folded.get();
    const sights = row !== -1 ? this.sights : this.foldedSights;
    const at = row !== -1 ? row : foldedRow;
    return {
      known: told ? row !== -1 : undefined,
      familiar: foldedRow !== -1,
      first: at === -1 ? undefined : sights.first[at],
      count: at === -1 ? undefined : sights.count[at],
    };
  }

  /** The row of the entry seen first among those that make the tree known; -1 if it is not. */
  private find(scope: string, path: string, exact: string, complete: boolean): number {
    const within = prefixOf(scope, path);
    digest(within + exact);
    const same = this.whole.get();
    if (same !== -1) return same;
    if (complete && this.incomplete.size === 0) return -1;
    // One of the two has to be incomplete: of a complete tree's side, that is the entry.
    let found = (complete ? this.incompleteEnds : this.ends).get();
    const shorter = complete ? this.incomplete : this.whole;
    for (const end of properEnds(exact)) {
      digest(within + end);
      found = this.earlier(found, shorter.get());
    }
    return found;
  }

  private earlier(a: number, b: number): number {
    if (a === -1 || b === -1) return Math.max(a, b);
    return this.sights.firstOf(b) < this.sights.firstOf(a) ? b : a;
  }

  private keepEarliest(table: DigestTable, text: string, row: number): void {
    digest(text);
    const before = table.get();
    if (this.earlier(before, row) === row && before !== row) table.set(row);
  }
}

function prefixOf(scope: string, path: string): string {
  return `${scope}\u0000${path}\u0000`;
}

/** A standing as policies ask for it, `second` seconds after the epoch. */
function knowledgeOf({ known, familiar, first, count }: LookupResult, second: number): Knowledge {
  const made: { known?: boolean; familiar?: boolean; age?: number; count?: number } = { familiar };
  if (known !== undefined) made.known = known;
  if (first !== undefined) made.age = Math.max(0, second - first);
  if (count !== undefined) made.count = count;
  return made;
}
