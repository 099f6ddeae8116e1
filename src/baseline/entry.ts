// One tree of a baseline with its observations, and how two entries of the same tree are joined.
import { compareTexts } from "./compare-texts.ts";
import { comparedPath } from "./compared-path.ts";
import { type Contents, joinContents } from "./contents.ts";
import {
  type Destination,
  destinationText,
  foldDestinations,
  isDestination,
  parseDestination,
  textsHolding,
} from "./destination.ts";
import { classesOfLearned } from "./executable-classes.ts";
import { type Executable, joinExecutables } from "./executables.ts";
import { compareKeys, isImageScope, type Key } from "./key.ts";
import { joinUsers } from "./users.ts";

/** A tree of a baseline and what was observed of it. */
export interface BaselineEntry extends Key {
  /** The exact tree that was seen, to be shown; of several with this habit the least. */
  readonly exact: string;
  /** Written by a version that knew no habits: `habit` is the exact tree, and lineages of that tree are known too. */
  readonly beforeHabits: boolean;
  /** The folded tree's text. */
  readonly tree: string;
  /** Every link of the lineage was observed, see `Lineage.complete`. */
  readonly complete: boolean;
  /** It is incomplete and begins with the main program of its unit, so it stands for longer trees that end in it. */
  readonly fromMain: boolean;
  /** First and last seen, in seconds since the epoch. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** Distinct effective users of the lineage, ascending, at most USERS_LIMIT; empty if unknown. */
  readonly users: readonly number[];
  /** Number of hosts whose entries were merged into this one. */
  readonly hosts: number;
  /** Distinct executables of its leaf, ascending, at most EXECUTABLES_LIMIT; empty if unknown. */
  readonly executables: readonly Executable[];
  /** The contents of its runnable's file. */
  readonly contents: Contents;
  /** One sample, as `argumentsText` formats it; undefined if unknown. */
  readonly arguments: string | undefined;
}

/** A key as one text, for maps: equal for paths that are compared as equal. */
export function keyText(key: Key): string {
  return `${key.scope}\t${key.habit}\t${comparedPath(key.path)}`;
}

/** The lesser of two texts, so that the result does not depend on the order of merging. */
function lesser(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareTexts(a, b) <= 0 ? a : b;
}

/**
 * Joins two entries of the same key. The result is complete if either is, because a complete entry matches fewer
 * lineages. `apart` means that they come from different hosts, whose numbers are added.
 */
function joinEntries(a: BaselineEntry, b: BaselineEntry, apart: boolean): BaselineEntry {
  const beforeHabits = a.beforeHabits || b.beforeHabits;
  return {
    scope: a.scope,
    habit: a.habit,
    // The habit of an entry that was written before there were habits is its exact tree.
    exact: beforeHabits ? a.habit : (lesser(a.exact, b.exact) ?? a.exact),
    beforeHabits,
    path: lesser(a.path, b.path) ?? a.path,
    tree: lesser(a.tree, b.tree) ?? a.tree,
    complete: a.complete || b.complete,
    fromMain: !(a.complete || b.complete) && (a.fromMain || b.fromMain),
    first: Math.min(a.first, b.first),
    last: Math.max(a.last, b.last),
    count: Math.min(a.count + b.count, Number.MAX_SAFE_INTEGER),
    users: joinUsers(a.users, b.users),
    hosts: apart ? Math.min(a.hosts + b.hosts, Number.MAX_SAFE_INTEGER) : Math.max(a.hosts, b.hosts),
    executables: joinExecutables(a.executables, b.executables),
    contents: joinContents(a.contents, b.contents),
    arguments: lesser(a.arguments, b.arguments),
  };
}

/** All entries in the order of a file, with entries of equal keys joined. */
export function mergeEntries(lists: Iterable<Iterable<BaselineEntry>>, apart: boolean): BaselineEntry[] {
  const merged = new Map<string, BaselineEntry>();
  for (const list of lists) {
    for (const entry of list) {
      const text = keyText(entry);
      const existing = merged.get(text);
      merged.set(text, existing === undefined ? entry : joinEntries(existing, entry, apart));
    }
  }
  return [...merged.values()].sort(compareKeys);
}

/** The same entries with the destinations of each tree folded (`foldDestinations`), in the order of a file. */
export function withFoldedDestinations(entries: readonly BaselineEntry[]): BaselineEntry[] {
  const trees = entries.filter(({ path }) => !isDestination(path));
  const byTree = Map.groupBy(
    entries.filter(({ path }) => isDestination(path)),
    ({ scope, habit }) => `${scope}\t${habit}`,
  );
  const folded = [...byTree.values()].flatMap((group) => {
    const all = group.flatMap(({ path }) => parseDestination(path) ?? []);
    const kept = new Set(foldDestinations(all).map(destinationText));
    return group.flatMap((entry) => {
      const destination = parseDestination(entry.path);
      const holding = destination === undefined ? undefined : holderIn(kept, destination);
      return holding === undefined ? [] : [{ ...entry, path: holding }];
    });
  });
  return mergeEntries([trees, folded], false);
}

function holderIn(kept: ReadonlySet<string>, destination: Destination): string | undefined {
  return textsHolding(destination).find((text) => kept.has(text));
}

/**
 * Entries in force as they count once others were learned: those written before baselines had habits take the habit
 * that was learned for their exact tree, else their exact tree stays their habit. `unseen`: the number of the latter.
 */
export function withHabits(
  inForce: readonly BaselineEntry[],
  learned: readonly BaselineEntry[],
): { readonly entries: readonly BaselineEntry[]; readonly unseen: number } {
  const textOf = ({ scope, exact, path }: BaselineEntry): string => `${scope}\t${exact}\t${path}`;
  const habits = new Map(learned.map((entry) => [textOf(entry), entry.habit]));
  let unseen = 0;
  const entries = inForce.map((entry) => {
    if (!entry.beforeHabits) return entry;
    const habit = habits.get(textOf(entry));
    if (habit === undefined) unseen += 1;
    return { ...entry, habit: habit ?? entry.habit, beforeHabits: false };
  });
  return { entries, unseen };
}

/** The difference between two baselines. */
export interface Difference {
  readonly added: readonly BaselineEntry[];
  readonly removed: readonly BaselineEntry[];
}

/**
 * The entries that only `after` has, and those that only `before` has, both in the order of a file. An entry is the same
 * if its key is, and its executables are, as far as both are known.
 */
export function diffEntries(before: readonly BaselineEntry[], after: readonly BaselineEntry[]): Difference {
  const [earlier, later] = [mergeEntries([before], false), mergeEntries([after], false)];
  const without = (list: readonly BaselineEntry[], others: readonly BaselineEntry[]): BaselineEntry[] => {
    const byKey = new Map(others.map((entry) => [keyText(entry), entry]));
    return list.filter((entry) => !isSameProgram(entry, byKey.get(keyText(entry))));
  };
  return { added: without(later, earlier), removed: without(earlier, later) };
}

function isSameProgram(a: BaselineEntry, b: BaselineEntry | undefined): boolean {
  if (b === undefined) return false;
  if (a.executables.length === 0 || b.executables.length === 0) return true;
  const [ofA, ofB] = [classesOfAll(a), classesOfAll(b)];
  return ofA.size === ofB.size && [...ofA].every((each) => ofB.has(each));
}

function classesOfAll({ scope, path, executables }: BaselineEntry): ReadonlySet<string> {
  const isImage = isImageScope(scope);
  return new Set(executables.flatMap((executable) => classesOfLearned(executable, path, isImage)));
}
