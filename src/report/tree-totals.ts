// Counts the living processes of each tree and their durations, for a bounded number of trees.
import type { Outcome } from "../enforcement/outcome.ts";
import type { ProcessCount } from "../forest/process.ts";
import type { Counter, Series, Totals } from "./totals.ts";

export const OVERFLOW_TREE = "/overflow";
/** Who begins: a process of the tree (outbound), or a client of one that listens (inbound). */
export const directions = ["outbound", "inbound"] as const;
export type Direction = (typeof directions)[number];

/** The time that an unknown tree keeps its series after its last process ended. */
const STAY_MS = 3_600_000;
/** No user's unknown trees but root's get more than this share of the series: one could take all that others need. */
const USER_SHARE = 0.25;
const ROOT_UID = 0;
/** The most folded trees to remember, so that a tree is counted once and not for each of its processes. */
const FOLDED_LIMIT = 1_024;

export interface TreeTotalsOptions {
  /** `off`: nothing; `gauge`: no durations; `full`: both. */
  readonly mode: "off" | "gauge" | "full";
  /** The most trees with series of their own. */
  readonly limit: number;
}

/**
 * The tree under which a process is counted. `TreeTotals.started` returns it at the process's first exec, `moved`
 * exchanges it at each further exec, and `ended` takes it back exactly once. It stays valid if the tree is removed.
 */
export class TreeHandle implements ProcessCount {
  readonly tree: string;
  /** @internal null: not exported */ readonly processes: Series | null;
  /** @internal null: not exported */ readonly duration: Series | null;
  /** @internal the effective user of its first process; undefined if not known, or if the tree is known */
  owner: number | undefined;
  /** @internal see `TreeTotals.used` */ connections: Map<Direction, Map<Outcome, Series>> | null = null;
  /** @internal */ known = false;
  /** @internal processes alive */ running = 0;
  /** @internal when the last one ended, by `TreeTotals.now` */ idleSince = 0;

  /** @internal Created by TreeTotals only. */
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
  /** Unknown trees without processes, the longest idle first. */
  private readonly idle = new Set<TreeHandle>();
  /** The latest of these trees, not in `idle` yet, because it usually runs again at once. */
  private lastIdle: TreeHandle | null = null;
  /** How many unknown trees with series each user's processes began. */
  private readonly ofUsers = new Map<number, number>();
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

  /** The number of trees with series of their own. */
  get size(): number {
    return this.trees.size;
  }

  /**
   * Counts a new process of `tree` (its path). `known`: see `tree.known`; a known tree keeps its series. `user`: the
   * effective user of the process, if it is known.
   */
  started(tree: string, known: boolean, user?: number): TreeHandle {
    if (this.options.mode === "off") return this.off;
    const series = this.seriesFor(tree, known, user);
    series.running += 1;
    this.leaveIdle(series);
    series.processes?.set(series.running);
    return series;
  }

  /** Counts the end of a process after `seconds`; undefined if its duration is not known. */
  ended(handle: TreeHandle, seconds: number | undefined): void {
    if (handle.running === 0) return;
    this.left(handle);
    if (seconds !== undefined) handle.duration?.observe(seconds);
  }

  /** Moves a process to another tree after an exec. Its duration counts for the tree in which it ends. */
  moved(handle: TreeHandle, tree: string, known: boolean, user?: number): TreeHandle {
    if (handle.tree === tree) {
      if (known) this.remember(handle);
      return handle;
    }
    const next = this.started(tree, known, user);
    if (handle.running > 0) this.left(handle);
    return next;
  }

  /** Counts a use of the network by a process of the tree. */
  used(handle: TreeHandle, direction: Direction, outcome: Outcome): void {
    // Trees are off.
    if (handle.processes === null) return;
    const series =
      handle.connections?.get(direction)?.get(outcome) ?? this.firstUse(handle, direction, outcome);
    series.add(1);
  }

  private firstUse(handle: TreeHandle, direction: Direction, outcome: Outcome): Series {
    const series = this.totals.find(
      "connections",
      [handle.tree, direction, outcome],
      Number.POSITIVE_INFINITY,
    );
    series.kept = handle.known;
    handle.connections ??= new Map();
    const ofDirection = handle.connections.get(direction);
    if (ofDirection === undefined) handle.connections.set(direction, new Map([[outcome, series]]));
    else ofDirection.set(outcome, series);
    return series;
  }

  /** Removes unknown trees whose time is over. Cheap if there are none; to be called before totals are sent. */
  expire(): void {
    this.keepLastIdle();
    const idleLimit = this.now() - STAY_MS;
    for (const series of this.idle) {
      if (series.idleSince > idleLimit) return;
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

  private seriesFor(tree: string, known: boolean, user: number | undefined): TreeHandle {
    const present = this.trees.get(tree);
    if (present !== undefined) {
      if (known) this.remember(present);
      return present;
    }
    if (this.trees.size >= this.options.limit) this.expire();
    // Only a known tree may replace another one. Otherwise anybody could empty the table by starting programs.
    if (known && this.trees.size >= this.options.limit) {
      const [oldest] = this.idle;
      if (oldest !== undefined) this.drop(oldest);
    }
    if (this.trees.size >= this.options.limit) return this.fold(tree);
    if (!known && user !== undefined && this.hasItsShare(user)) return this.fold(tree);
    const created = this.make(tree);
    if (known) this.remember(created);
    else this.setOwner(created, user);
    this.trees.set(tree, created);
    return created;
  }

  private hasItsShare(user: number): boolean {
    return user !== ROOT_UID && (this.ofUsers.get(user) ?? 0) >= this.options.limit * USER_SHARE;
  }

  private setOwner(series: TreeHandle, user: number | undefined): void {
    const { owner } = series;
    if (owner !== undefined) {
      const left = (this.ofUsers.get(owner) ?? 1) - 1;
      if (left > 0) this.ofUsers.set(owner, left);
      else this.ofUsers.delete(owner);
    }
    series.owner = user;
    if (user !== undefined) this.ofUsers.set(user, (this.ofUsers.get(user) ?? 0) + 1);
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
    this.setOwner(series, undefined);
    this.leaveIdle(series);
    for (const each of [series.processes, series.duration, ...connectionsOf(series)]) {
      if (each === null) continue;
      each.kept = true;
      each.markChanged();
    }
  }

  private drop(series: TreeHandle): void {
    this.leaveIdle(series);
    this.setOwner(series, undefined);
    this.trees.delete(series.tree);
    if (series.processes !== null) this.totals.removeSeries(series.processes);
    if (series.duration !== null) this.totals.removeSeries(series.duration);
    for (const each of connectionsOf(series)) this.totals.removeSeries(each);
    series.connections = null;
  }
}

function connectionsOf({ connections }: TreeHandle): readonly Series[] {
  return connections === null
    ? []
    : [...connections.values()].flatMap((ofDirection) => [...ofDirection.values()]);
}
