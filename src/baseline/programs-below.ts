// Which programs a baseline knows directly below a tree, by their files: what may start there, given as a list.
import { readsCommandLine } from "../fingerprint/program-kinds.ts";
import type { Tree } from "../forest/tree.ts";
import { unambiguous, undoUnambiguous } from "../linux/text.ts";
import { comparedPath } from "./compared-path.ts";
import { isDestination } from "./destination.ts";
import type { BaselineEntry } from "./entry.ts";
import { foldedExecutablePath } from "./executable-classes.ts";
import { isListable } from "./path-pattern.ts";

export interface KnownPrograms {
  /** Paths as they are compared; each stands for every file of a host whose path is compared as equal to it. */
  readonly patterns: ReadonlySet<string>;
  /** Compared paths whose files cannot be listed. */
  readonly unlistable: ReadonlySet<string>;
  /** Something is known that an interpreter runs, or of which the executable is not known. */
  readonly mayBeInterpreted: boolean;
}

interface Below {
  readonly scope: string;
  /** The tree above, without the program. */
  readonly above: string;
  /** As the entries have them. */
  readonly paths: Set<string>;
  readonly executables: Set<string>;
  /** Of an entry no executable is known. */
  lacksExecutables: boolean;
}

/** Built once for a baseline in force, then only queried. */
export class ProgramsBelow {
  private readonly all = new Trees();
  /** Those of entries that begin with their unit's main program, above which anything may be. */
  private readonly fromMain = new Trees();
  /** Folding takes some 20 us a path, and most are never asked about. Invalidated by: nothing, it depends on the path alone. */
  private readonly patterns = new Map<string, string>();

  add(entry: BaselineEntry): void {
    if (isDestination(entry.path)) return;
    this.all.add(entry);
    if (entry.fromMain) this.fromMain.add(entry);
  }

  /**
   * What may be known in a scope of programs whose tree, with them, is this; some of it may not be known there. `complete`:
   * whether the tree is known from its root.
   */
  below(
    scope: string,
    { habit, exact, complete }: Pick<Tree, "habit" | "exact" | "complete">,
  ): KnownPrograms {
    const found = new Found(scope, (path) => this.patternOf(path));
    for (const above of new Set([treeAbove(habit), treeAbove(exact)])) {
      for (const each of this.all.endingLike(above))
        if (each.above === above || (!complete && each.above.endsWith(above))) found.add(each);
      for (const each of this.fromMain.endingLike(above)) if (above.endsWith(each.above)) found.add(each);
      for (const each of this.fromMain.endingLike("")) if (each.above === "") found.add(each);
    }
    return found;
  }

  /**
   * Likewise, of programs that a shell starts in place of the last label of this tree: below a script of any name, or
   * without a label between, as when the shell was given its code by `-c`.
   */
  belowAnything(
    scope: string,
    { habit, exact, complete }: Pick<Tree, "habit" | "exact" | "complete">,
  ): KnownPrograms {
    const found = new Found(scope, (path) => this.patternOf(path));
    for (const above of new Set([treeAbove(habit), treeAbove(exact)])) {
      const fits = (text: string): boolean => text === above || (!complete && text.endsWith(above));
      for (const each of this.all.endingLike(""))
        if (fits(each.above) || fits(treeAbove(each.above))) found.add(each);
      for (const each of this.fromMain.endingLike(""))
        if (above.endsWith(each.above) || above.endsWith(treeAbove(each.above))) found.add(each);
    }
    return found;
  }

  /** The compared path of a learned executable, which entries have as it was run. */
  private patternOf(executable: string): string {
    let pattern = this.patterns.get(executable);
    if (pattern === undefined) {
      const raw = undoUnambiguous(executable) ?? executable;
      pattern = comparedPath(unambiguous(foldedExecutablePath(raw)));
      this.patterns.set(executable, pattern);
    }
    return pattern;
  }
}

/** What is known of several trees together. */
class Found implements KnownPrograms {
  readonly patterns = new Set<string>();
  readonly unlistable = new Set<string>();
  mayBeInterpreted = false;
  private readonly scope: string;
  private readonly patternOf: (executable: string) => string;

  constructor(scope: string, patternOf: (executable: string) => string) {
    this.scope = scope;
    this.patternOf = patternOf;
  }

  add({ scope, paths, executables, lacksExecutables }: Below): void {
    if (scope !== this.scope) return;
    for (const path of paths) this.addPath(path, comparedPath(path));
    for (const path of executables) this.addPath(path, this.patternOf(path));
    this.mayBeInterpreted ||= lacksExecutables;
  }

  private addPath(path: string, pattern: string): void {
    (isListable(pattern) ? this.patterns : this.unlistable).add(pattern);
    this.mayBeInterpreted ||= readsCommandLine(path);
  }
}

/** Programs by the trees above them. */
class Trees {
  private readonly trees = new Map<string, Below>();
  private readonly byLastLabel = new Map<string, Below[]>();

  add({ scope, habit, path, executables }: BaselineEntry): void {
    const above = treeAbove(habit);
    const key = `${scope}\u0000${above}`;
    let below = this.trees.get(key);
    if (below === undefined) {
      below = { scope, above, paths: new Set(), executables: new Set(), lacksExecutables: false };
      this.trees.set(key, below);
      const label = lastLabel(above);
      const alike = this.byLastLabel.get(label);
      if (alike === undefined) this.byLastLabel.set(label, [below]);
      else alike.push(below);
    }
    below.paths.add(path);
    for (const executable of executables) below.executables.add(executable.path);
    below.lacksExecutables ||= executables.length === 0;
  }

  /** All whose tree above has the same last label; for an empty text, all. */
  endingLike(above: string): Iterable<Below> {
    return above === "" ? this.trees.values() : (this.byLastLabel.get(lastLabel(above)) ?? []);
  }
}

/** The text of a tree without its last label. */
export function treeAbove(tree: string): string {
  return tree.slice(0, Math.max(0, tree.lastIndexOf("/")));
}

function lastLabel(tree: string): string {
  return tree.slice(tree.lastIndexOf("/") + 1);
}
