// How many processes of each tree are alive and how long they lived, for a bounded number of trees.
import type { ProcessCount } from "../forest/process.ts";
import type { Counter, Series, Totals } from "./totals.ts";

export const OVERFLOW_TREE = "/overflow";
/** How long an unknown tree keeps its series after its last process ended. */
const STAY_MS = 3_600_000;
/** Folded trees remembered, so that a tree is counted once and not at each of its processes. */
const FOLDED_LIMIT = 1_024;

export interface TreeTotalsOptions {
  /** `off`: nothing; `gauge`: no durations; `full`: both. */
  readonly mode: "off" | "gauge" | "full";
  /** How many trees have series of their own. */
  readonly limit: number;
}

/**
 * The tree that a process counts under: `TreeTotals.started` gives it at the process's first exec, `moved` exchanges it at
 * each further exec, and `ended` takes it back, exactly once. It stays right when the tree leaves the table meanwhile.
 */
export class TreeHandle implements ProcessCount {
  readonly tree: string;
  /** @internal null: not exported */ readonly processes: Series | null;
  /** @internal null: not exported */ readonly duration: Series | null;
  /** @internal */ known = false;
  /** @internal processes alive */ running = 0;
  /** @internal when the last one ended, by `TreeTotals.now` */ idleSince = 0;

  /** @internal made by TreeTotals only */
  constructor(tree: string, processes: Series | null, duration: Series | null) {
    this.tree = tree;
    this.processes = processes;
    this.duration = duration;
  }
}

export class TreeTotals {
  private readonly totals: Totals;
  private readonly options: TreeTotalsOptions;
  private readonly now: () => number;
  private readonly trees = new Map<string, TreeHandle>();
  /** Unknown trees without a process, the longest idle first. */
  private readonly idle = new Set<TreeHandle>();
  /** The last of these, not in `idle` yet: usually it runs again at once. */
  private lastIdle: TreeHandle | null = null;
  private readonly folded = new Set<string>();
  private readonly foldedCount: Counter;
  private readonly off = new TreeHandle("", null, null);
  private overflowSeries: TreeHandle | undefined;

  /** `now`: milliseconds of any clock that never goes back. */
  constructor(
    totals: Totals,
    options: TreeTotalsOptions = { mode: "full", limit: 2_000 },
    now: () => number = () => performance.now(),
  ) {
    this.totals = totals;
    this.options = options;
    this.now = now;
    this.foldedCount = totals.counter("treesOverflow", {});
  }

  /** Trees with series of their own. */
  get size(): number {
    return this.trees.size;
  }

  /** A process of `tree` (its path) is alive. `known`: see `tree.known`; a known tree stays. */
  started(tree: string, known: boolean): TreeHandle {
    if (this.options.mode === "off") return this.off;
    const series = this.seriesFor(tree, known);
    series.running += 1;
    this.leaveIdle(series);
    series.processes?.set(series.running);
    return series;
  }

  /** A process ended after `seconds`; undefined if its duration is not known. */
  ended(handle: TreeHandle, seconds: number | undefined): void {
    if (handle.running === 0) return;
    this.left(handle);
    if (seconds !== undefined) handle.duration?.observe(seconds);
  }

  /** A process moved to another tree by an exec; gives its new handle. Its duration counts for the tree in which it ends. */
  moved(handle: TreeHandle, tree: string, known: boolean): TreeHandle {
    if (handle.tree === tree) {
      if (known) this.remember(handle);
      return handle;
    }
    const next = this.started(tree, known);
    if (handle.running > 0) this.left(handle);
    return next;
  }

  /** Removes unknown trees whose hour is over. Cheap if there are none; call it before totals are sent. */
  expire(): void {
    this.keepLastIdle();
    const before = this.now() - STAY_MS;
    for (const series of this.idle) {
      if (series.idleSince > before) return;
      this.drop(series);
    }
  }

  private left(series: TreeHandle): void {
    series.running -= 1;
    series.processes?.set(series.running);
    if (series.running > 0 || series.known || series === this.overflowSeries) return;
    series.idleSince = this.now();
    this.keepLastIdle();
    this.lastIdle = series;
  }

  private keepLastIdle(): void {
    if (this.lastIdle !== null) this.idle.add(this.lastIdle);
    this.lastIdle = null;
  }

  private leaveIdle(series: TreeHandle): void {
    if (series === this.lastIdle) this.lastIdle = null;
    else this.idle.delete(series);
  }

  private seriesFor(tree: string, known: boolean): TreeHandle {
    const present = this.trees.get(tree);
    if (present !== undefined) {
      if (known) this.remember(present);
      return present;
    }
    if (this.trees.size >= this.options.limit) this.expire();
    // Only a known tree may push another out: or else anyone could empty the table by starting programs.
    if (known && this.trees.size >= this.options.limit) {
      const [oldest] = this.idle;
      if (oldest !== undefined) this.drop(oldest);
    }
    if (this.trees.size >= this.options.limit) return this.fold(tree);
    const made = this.make(tree);
    if (known) this.remember(made);
    this.trees.set(tree, made);
    return made;
  }

  private fold(tree: string): TreeHandle {
    if (!this.folded.has(tree)) {
      if (this.folded.size >= FOLDED_LIMIT) this.folded.clear();
      this.folded.add(tree);
      this.foldedCount.add(1);
    }
    if (this.overflowSeries === undefined) {
      this.overflowSeries = this.make(OVERFLOW_TREE);
      this.remember(this.overflowSeries);
    }
    return this.overflowSeries;
  }

  private make(tree: string): TreeHandle {
    const duration =
      this.options.mode === "full"
        ? this.totals.find("treeDuration", [tree], Number.POSITIVE_INFINITY)
        : null;
    return new TreeHandle(
      tree,
      this.totals.find("treeProcesses", [tree], Number.POSITIVE_INFINITY),
      duration,
    );
  }

  private remember(series: TreeHandle): void {
    if (series.known) return;
    series.known = true;
    this.leaveIdle(series);
    for (const each of [series.processes, series.duration]) {
      if (each === null) continue;
      each.kept = true;
      each.markChanged();
    }
  }

  private drop(series: TreeHandle): void {
    this.leaveIdle(series);
    this.trees.delete(series.tree);
    if (series.processes !== null) this.totals.removeSeries(series.processes);
    if (series.duration !== null) this.totals.removeSeries(series.duration);
  }
}
