// The baseline in force: the trees that a host is known to run. Built once from files that only root writes, then only
// queried.
import { type Tree, treeId, treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { comparedPath } from "./compared-path.ts";
import { contentPath } from "./content-path.ts";
import { type Contents, joinContents } from "./contents.ts";
import {
  type Destination,
  destinationText,
  isDestination,
  parseDestination,
  textsHolding,
} from "./destination.ts";
import { DigestTable, digest, setDigest } from "./digests.ts";
import type { BaselineEntry } from "./entry.ts";
import { classesOfLearned, classesOfRunnable, type ExecutableClasses } from "./executable-classes.ts";
import { baselinePath, isImageScope, properEnds } from "./key.ts";

export type ComparedContents = Exclude<Contents, "unknown"> | "exempt";

/** The baseline's answers for a policy (`tree.known` and so on). An absent property is not known. */
export interface Knowledge {
  /** null where no baseline was ever accepted. */
  readonly known?: boolean | null;
  /** Likewise. */
  readonly familiar?: boolean | null;
  /** Seconds since the baseline first saw the exact tree if that is known, else the folded one. */
  readonly age?: number;
  readonly count?: number;
  /** Of a known tree: the contents that were accepted for its path, if any; `exempt`: they are never compared. */
  readonly contents?: ComparedContents;
  /**
   * The change to which an unknown tree belongs. In an open window `known` is absent with it; of what a package manager
   * starts it is false, and rules act as before.
   */
  readonly change?: string;
}

/** What the baseline has on one lineage in one scope. It does not change. */
interface LookupResult {
  /** Undefined if the program or its scope could not be read, or the lineage is uncertain. */
  readonly known: boolean | undefined;
  /** Undefined if the lineage is uncertain. */
  readonly familiar: boolean | undefined;
  /** Seconds since the epoch; undefined if neither known nor familiar. */
  readonly first: number | undefined;
  readonly count: number | undefined;
  readonly contents: ComparedContents | undefined;
}

/** A cached result for one scope of a lineage; `next` has another scope of the same lineage. */
interface Cached extends LookupResult {
  readonly scope: string | undefined;
  readonly next: Cached | undefined;
  /** The last answer and its second. Invalidated by: the next second, because `age` grows. */
  second: number;
  knowledge: Knowledge | undefined;
}

/** Number of scopes cached for one lineage. A lineage that runs in more scopes is looked up again. */
const SCOPES_OF_LINEAGE = 8;
const INITIAL_ROWS = 64;

/** First seen, count and executables of each entry, by row number. */
class Occurrences {
  first = new Float64Array(INITIAL_ROWS);
  count = new Float64Array(INITIAL_ROWS);
  /** Equal ones are one object. Undefined: not known, so that the executable decides nothing. */
  readonly executables: (ExecutableClasses | undefined)[] = [];
  length = 0;

  add(first: number, count: number, executables: ExecutableClasses | undefined): number {
    if (this.length === this.first.length) {
      this.first = enlarged(this.first);
      this.count = enlarged(this.count);
    }
    this.first[this.length] = first;
    this.count[this.length] = count;
    this.executables.push(executables);
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

/** Tables of trees by scope, path and a text: their habits, or the exact trees of entries written before habits. */
class TreeTables {
  readonly whole = new DigestTable();
  /** Incomplete ones that stand for longer trees. */
  readonly fromMain = new DigestTable();
  /** The proper ends of all of them, which incomplete lineages may be. */
  readonly ends = new DigestTable();
}

/**
 * The set of known trees. Entries may come from several files, a role's and the host's own. One table has the folded
 * trees.
 */
export class Baseline {
  private readonly habits = new TreeTables();
  /** Exact trees of entries that were written before baselines had habits. */
  private readonly exactTrees = new TreeTables();
  private readonly folded = new DigestTable();
  private readonly exactOccurrences = new Occurrences();
  private readonly foldedOccurrences = new Occurrences();
  /** By path as it is compared; a path without is unknown. */
  private readonly contents = new Map<string, Contents>();
  /** Invalidated by: nothing, the set does not change after the first query; a reload creates another Baseline. */
  private readonly cache = new WeakMap<Lineage, Cached>();
  /** Invalidated by: nothing, likewise. */
  private readonly familiarTrees = new WeakMap<Tree, boolean>();
  /** One object for each set of executables, by its classes: most entries share theirs with others. */
  private readonly executableSets = new Map<string, ExecutableClasses>();

  /** Any tree's destinations were accepted. */
  private hasDestinations = false;

  /** Number of distinct trees. */
  get size(): number {
    return this.habits.whole.size;
  }

  /** Adds an entry. Must not be called after the first query, whose cached answers it would not change. */
  add(entry: BaselineEntry): void {
    const isOfNetwork = isDestination(entry.path);
    if (isOfNetwork) this.hasDestinations = true;
    const row = this.exactOccurrences.add(entry.first, entry.count, this.executablesOf(entry));
    this.addTo(this.habits, entry, row);
    if (entry.beforeHabits) this.addTo(this.exactTrees, entry, row);
    if (entry.contents !== "unknown") {
      const path = comparedPath(entry.path);
      const others = this.contents.get(path) ?? "unknown";
      this.contents.set(path, joinContents(others, entry.contents));
    }
    // The tree has an entry of its own.
    if (isOfNetwork) return;
    setDigest(treeId(entry.tree));
    const foldedRow = this.folded.get();
    if (foldedRow === -1) {
      this.folded.set(this.foldedOccurrences.add(entry.first, entry.count, undefined));
      return;
    }
    const { first, count } = this.foldedOccurrences;
    first[foldedRow] = Math.min(first[foldedRow] ?? 0, entry.first);
    count[foldedRow] = (count[foldedRow] ?? 0) + entry.count;
  }

  /**
   * The answers for a lineage's leaf in a scope (`Scopes.of`; undefined if it could not be read) at `second`, in
   * seconds since the epoch. While the lineage lives this is a cache lookup that allocates at most one object a second.
   */
  knowledge(lineage: Lineage, scope: string | undefined, second: number): Knowledge {
    const cached = this.cached(lineage, scope);
    if (cached.knowledge !== undefined && cached.second === second) return cached.knowledge;
    const knowledge = knowledgeOf(cached, second);
    cached.knowledge = knowledge;
    cached.second = second;
    return knowledge;
  }

  /** Whether the tree of an entry is known with each of its executables; the same query for a tree from a file. */
  knows(
    entry: Pick<BaselineEntry, "scope" | "habit" | "exact" | "path" | "complete" | "executables">,
  ): boolean {
    const { scope, path, executables } = entry;
    if (isDestination(path)) return this.holds(scope, path, entry, entry.complete);
    const compared = comparedPath(path);
    const knowsAs = (seen: ExecutableClasses | undefined): boolean =>
      this.find(scope, compared, entry, entry.complete, seen) !== -1;
    if (executables.length === 0) return knowsAs(undefined);
    const isImage = isImageScope(scope);
    return executables.every((executable) => knowsAs(classesOfLearned(executable, path, isImage)));
  }

  /**
   * Whether a tree in a scope is known to connect or send to `destination`. null: no destinations were ever accepted;
   * undefined: it cannot be known.
   */
  knowsDestination(
    lineage: Lineage,
    scope: string | undefined,
    destination: Destination,
  ): boolean | null | undefined {
    if (!this.hasDestinations) return null;
    if (lineage.uncertain || scope === undefined) return undefined;
    const tree = treeOf(lineage);
    return this.holds(scope, destinationText(destination), tree, tree.complete);
  }

  /** Whether the destination or a wider one is known of the tree. */
  private holds(
    scope: string,
    path: string,
    tree: Pick<Tree, "habit" | "exact">,
    complete: boolean,
  ): boolean {
    const destination = parseDestination(path);
    return (
      destination !== undefined &&
      textsHolding(destination).some((text) => this.find(scope, text, tree, complete, undefined) !== -1)
    );
  }

  /** The contents that any tree was learned with at a path of the host, given as it is compared (`comparedPath`). */
  contentsOf(path: string): Contents {
    return this.contents.get(path) ?? "unknown";
  }

  /** Whether the folded tree is in the baseline. */
  isFamiliar(tree: Tree): boolean {
    const cached = this.familiarTrees.get(tree);
    if (cached !== undefined) return cached;
    setDigest(tree.id);
    const familiar = this.folded.get() !== -1;
    this.familiarTrees.set(tree, familiar);
    return familiar;
  }

  private cached(lineage: Lineage, scope: string | undefined): Cached {
    const head = this.cache.get(lineage);
    let depth = 0;
    for (let cached = head; cached !== undefined; cached = cached.next) {
      if (cached.scope === scope) return cached;
      depth += 1;
    }
    const next = depth < SCOPES_OF_LINEAGE ? head : undefined;
    const created = { ...this.lookUp(lineage, scope), scope, next, second: -1, knowledge: undefined };
    this.cache.set(lineage, created);
    return created;
  }

  private lookUp(lineage: Lineage, scope: string | undefined): LookupResult {
    if (lineage.uncertain) return cannotBeTold;
    const tree = treeOf(lineage);
    const path = baselinePath(lineage.program);
    const isReadable = path !== undefined && scope !== undefined;
    const exactRow = isReadable ? this.rowOf(lineage, tree, scope, comparedPath(path)) : -1;
    setDigest(tree.id);
    const foldedRow = this.folded.get();
    const occurrences = exactRow !== -1 ? this.exactOccurrences : this.foldedOccurrences;
    const row = exactRow !== -1 ? exactRow : foldedRow;
    return {
      known: isReadable ? exactRow !== -1 : undefined,
      familiar: foldedRow !== -1,
      first: row === -1 ? undefined : occurrences.first[row],
      count: row === -1 ? undefined : occurrences.count[row],
      contents: exactRow === -1 ? undefined : this.comparedContents(lineage),
    };
  }

  private comparedContents({ program }: Lineage): ComparedContents | undefined {
    const path = contentPath(program);
    if (path === null) return "exempt";
    const contents = this.contentsOf(path.compared);
    return contents === "unknown" ? undefined : contents;
  }

  private rowOf({ program }: Lineage, tree: Tree, scope: string, path: string): number {
    return this.find(scope, path, tree, tree.complete, classesOfRunnable(program, path, isImageScope(scope)));
  }

  private addTo({ whole, fromMain, ends }: TreeTables, entry: BaselineEntry, row: number): void {
    const prefix = prefixOf(entry.scope, comparedPath(entry.path));
    this.addRow(whole, prefix + entry.habit, row, true);
    if (entry.fromMain) this.addRow(fromMain, prefix + entry.habit, row, true);
    for (const end of properEnds(entry.habit)) this.addRow(ends, prefix + end, row, false);
  }

  private executablesOf({ scope, path, executables }: BaselineEntry): ExecutableClasses | undefined {
    if (executables.length === 0) return undefined;
    const isImage = isImageScope(scope);
    return this.shared(executables.flatMap((executable) => classesOfLearned(executable, path, isImage)));
  }

  private shared(classes: ExecutableClasses): ExecutableClasses {
    const distinct = [...new Set(classes)].sort();
    const text = distinct.join("\u0000");
    const existing = this.executableSets.get(text);
    if (existing !== undefined) return existing;
    this.executableSets.set(text, distinct);
    return distinct;
  }

  /**
   * The row of an entry that makes the tree known, of several ends the earliest; -1 if the tree is unknown. `path`: as it
   * is compared. `seen`: the classes of what runs; undefined if they are not known.
   */
  private find(
    scope: string,
    path: string,
    { habit, exact }: Pick<Tree, "habit" | "exact">,
    complete: boolean,
    seen: ExecutableClasses | undefined,
  ): number {
    const prefix = prefixOf(scope, path);
    const row = this.findIn(this.habits, prefix, habit, complete, seen);
    if (row !== -1 || this.exactTrees.whole.size === 0 || exact === habit) return row;
    return this.findIn(this.exactTrees, prefix, exact, complete, seen);
  }

  private findIn(
    { whole, fromMain, ends }: TreeTables,
    prefix: string,
    text: string,
    complete: boolean,
    seen: ExecutableClasses | undefined,
  ): number {
    digest(prefix + text);
    const exactRow = this.rowFor(whole, seen);
    if (exactRow !== -1) return exactRow;
    // What an incomplete lineage lacks may be the beginning of a tree that is known.
    let row = complete ? -1 : this.rowFor(ends, seen);
    if (fromMain.size === 0) return row;
    for (const end of properEnds(text)) {
      digest(prefix + end);
      row = this.earlier(row, this.rowFor(fromMain, seen));
    }
    return row;
  }

  /** The row of the current digest; -1 if there is none, or only one with other executables. */
  private rowFor(table: DigestTable, seen: ExecutableClasses | undefined): number {
    const row = table.get();
    const known = row === -1 ? undefined : this.exactOccurrences.executables[row];
    if (known === undefined || seen === undefined) return row;
    return seen.some((each) => known.includes(each)) ? row : -1;
  }

  private earlier(a: number, b: number): number {
    if (a === -1 || b === -1) return Math.max(a, b);
    return this.exactOccurrences.firstOf(b) < this.exactOccurrences.firstOf(a) ? b : a;
  }

  /** Adds a row to what the table has under a text: the earliest time counts, and the executables of all. */
  private addRow(table: DigestTable, text: string, row: number, isSameKey: boolean): void {
    digest(text);
    const existing = table.get();
    const joined = existing === -1 ? row : this.joined(existing, row, isSameKey);
    if (joined !== existing) table.set(joined);
  }

  /**
   * A row for both. Of entries with one key those whose executables are not known add none, as when they are merged; of
   * others each stands for itself.
   */
  private joined(a: number, b: number, isSameKey: boolean): number {
    const { executables, first, count } = this.exactOccurrences;
    const earliest = this.earlier(a, b);
    const [ofA, ofB] = [executables[a], executables[b]];
    if (ofA === ofB) return earliest;
    const isKnown = ofA !== undefined && ofB !== undefined;
    const all = isKnown ? this.shared([...ofA, ...ofB]) : isSameKey ? (ofA ?? ofB) : undefined;
    if (all === executables[earliest]) return earliest;
    return this.exactOccurrences.add(first[earliest] ?? 0, count[earliest] ?? 0, all);
  }
}

const cannotBeTold: LookupResult = {
  known: undefined,
  familiar: undefined,
  first: undefined,
  count: undefined,
  contents: undefined,
};

/** `path`: as it is compared. */
function prefixOf(scope: string, path: string): string {
  return `${scope}\u0000${path}\u0000`;
}

/** A lookup result as policies query it, `second` seconds after the epoch. */
function knowledgeOf({ known, familiar, first, count, contents }: LookupResult, second: number): Knowledge {
  const knowledge: { -readonly [N in keyof Knowledge]: Knowledge[N] } = {};
  if (familiar !== undefined) knowledge.familiar = familiar;
  if (known !== undefined) knowledge.known = known;
  if (first !== undefined) knowledge.age = Math.max(0, second - first);
  if (count !== undefined) knowledge.count = count;
  if (contents !== undefined) knowledge.contents = contents;
  return knowledge;
}
