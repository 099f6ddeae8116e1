// One tree of a baseline with what was seen of it, and how two sights of the same tree become one.
import { type Executable, joinExecutables } from "./executables.ts";
import { compareKeys, compareTexts, type Key } from "./key.ts";

export interface BaselineEntry extends Key {
  /** The folded tree's text. */
  readonly tree: string;
  /** Every link of the lineage was seen, see DESIGN's `complete`. */
  readonly complete: boolean;
  /** Seconds since the epoch. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** Effective users of the lineage, each once, ascending, at most USERS_LIMIT; empty if not known. */
  readonly users: readonly number[];
  /** Hosts of which this was merged. */
  readonly hosts: number;
  /** What its leaf ran, ascending, each once, at most EXECUTABLES_LIMIT; empty if not known. */
  readonly executables: readonly Executable[];
  /** One sample, as `argumentsText` writes it; undefined if not known. */
  readonly arguments: string | undefined;
}

/** Users remembered of a tree: beyond it the lowest stay. */
export const USERS_LIMIT = 16;

export function keyText(key: Key): string {
  return `${key.scope}\t${key.exact}\t${key.path}`;
}

/** Both sets, ascending, each user once. */
export function joinUsers(a: readonly number[], b: readonly number[]): readonly number[] {
  if (b.every((user) => a.includes(user))) return a;
  return [...new Set([...a, ...b])].sort((x, y) => x - y).slice(0, USERS_LIMIT);
}

/** Of two texts the first in order: it does not matter which came first. */
function either(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareTexts(a, b) <= 0 ? a : b;
}

/**
 * Two sights of the same key as one. A lineage once seen whole is complete: that asks for more of those it is
 * compared with. `apart`: seen on different hosts.
 */
export function joinEntries(a: BaselineEntry, b: BaselineEntry, apart: boolean): BaselineEntry {
  return {
    scope: a.scope,
    exact: a.exact,
    path: a.path,
    tree: either(a.tree, b.tree) ?? a.tree,
    complete: a.complete || b.complete,
    first: Math.min(a.first, b.first),
    last: Math.max(a.last, b.last),
    count: Math.min(a.count + b.count, Number.MAX_SAFE_INTEGER),
    users: joinUsers(a.users, b.users),
    hosts: apart ? Math.min(a.hosts + b.hosts, Number.MAX_SAFE_INTEGER) : Math.max(a.hosts, b.hosts),
    executables: joinExecutables(a.executables, b.executables),
    arguments: either(a.arguments, b.arguments),
  };
}

/** All entries, those of one key joined, in the order of a file. */
export function mergeEntries(lists: Iterable<Iterable<BaselineEntry>>, apart: boolean): BaselineEntry[] {
  const merged = new Map<string, BaselineEntry>();
  for (const list of lists) {
    for (const entry of list) {
      const text = keyText(entry);
      const before = merged.get(text);
      merged.set(text, before === undefined ? entry : joinEntries(before, entry, apart));
    }
  }
  return [...merged.values()].sort(compareKeys);
}

export interface Difference {
  readonly added: readonly BaselineEntry[];
  readonly removed: readonly BaselineEntry[];
}

/** What `after` has and `before` has not, and the other way round, by key; both in the order of a file. */
export function diffEntries(before: readonly BaselineEntry[], after: readonly BaselineEntry[]): Difference {
  const without = (list: readonly BaselineEntry[], others: readonly BaselineEntry[]): BaselineEntry[] => {
    const keys = new Set(others.map(keyText));
    return list.filter((entry) => !keys.has(keyText(entry))).sort(compareKeys);
  };
  return { added: without(after, before), removed: without(before, after) };
}
