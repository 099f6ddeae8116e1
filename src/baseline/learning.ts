// What the warden keeps while it learns: every tree once, and how often. A lookup an exec; what is new or has changed
// leaves in batches. Bounded: what does not fit makes the learning unfinished, never the warden larger.
import type { Runnable } from "../fingerprint/runnable.ts";
import { treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { argumentsText } from "./arguments.ts";
import { DigestTable, digest, digestIs, digestText } from "./digests.ts";
import { joinUsers } from "./entry.ts";
import { keptPath } from "./key.ts";
import type { Candidate, Counted } from "./learned.ts";
import { countHour, type LearningState } from "./state.ts";

export interface LearningLimits {
  /** Trees kept. */
  readonly trees: number;
  /** Trees found and not yet taken over by the reporter. */
  readonly waiting: number;
}

export interface LearningOptions {
  readonly state: LearningState;
  /** Takes secrets out of arguments; asked once for each new tree. */
  readonly redact: (args: readonly string[]) => readonly string[];
  readonly limits?: LearningLimits;
}

const LIMITS: LearningLimits = { trees: 100_000, waiting: 4_096 };
/** Trees in one report of counts: about 5 KiB. */
const COUNTS_LIMIT = 64;
const SCOPES_OF_LINEAGE = 8;

/** One tree; its texts stay only until they were reported. */
interface Kept {
  readonly id: string;
  users: readonly number[];
  last: number;
  count: number;
  /** Changed since it was reported. */
  dirty: boolean;
  /** Not reported yet at all. */
  candidate: Omit<Candidate, "last" | "count" | "users"> | undefined;
}

interface Cached {
  readonly scope: string;
  readonly kept: Kept;
  readonly next: Cached | undefined;
}

/** Where reports go: false if there is no room now; the same is offered again later. */
export interface Reports {
  candidate(candidate: Candidate): boolean;
  counts(counts: readonly Counted[]): boolean;
}

export class Learning {
  private readonly options: LearningOptions;
  private readonly limits: LearningLimits;
  private readonly table = new DigestTable();
  private readonly rows: Kept[] = [];
  private readonly cache = new WeakMap<Lineage<Runnable>, Cached>();
  private waiting: Kept[] = [];
  private dirty: Kept[] = [];
  private current: LearningState;

  constructor(options: LearningOptions) {
    this.options = options;
    this.limits = options.limits ?? LIMITS;
    this.current = options.state;
  }

  /** As it is now; a new object whenever something changed. To be kept for the next warden. */
  get state(): LearningState {
    return this.current;
  }

  /** Starts, ends or changes the stretch; what was found stays. */
  set state(state: LearningState) {
    this.current = state;
  }

  /** Something waits to be reported. */
  get hasReports(): boolean {
    return this.waiting.length > 0 || this.dirty.length > 0;
  }

  /** A program runs; `second`: since the epoch; `scope`: undefined if it could not be read. */
  observe(
    lineage: Lineage<Runnable>,
    scope: string | undefined,
    args: readonly string[] | undefined,
    second: number,
  ): void {
    if (scope === undefined) {
      this.current = { ...this.current, unreadable: this.current.unreadable + 1 };
      return;
    }
    const kept = this.cached(lineage, scope) ?? this.find(lineage, scope, args, second);
    if (kept === undefined) return;
    kept.count += 1;
    if (second > kept.last) kept.last = second;
    this.changed(kept);
  }

  /** Hands over what is new, then what has changed, until there is no room. */
  report(to: Reports): void {
    let done = 0;
    for (const kept of this.waiting) {
      const { candidate, count, last, users } = kept;
      if (candidate !== undefined && !to.candidate({ ...candidate, count, last, users })) break;
      kept.candidate = undefined;
      kept.dirty = false;
      done += 1;
    }
    this.waiting = this.waiting.slice(done);
    for (done = 0; done < this.dirty.length; done += COUNTS_LIMIT) {
      const some = this.dirty.slice(done, done + COUNTS_LIMIT);
      if (!to.counts(some.map(({ id, count, last, users }) => ({ id, count, last, users })))) break;
      for (const kept of some) kept.dirty = false;
    }
    this.dirty = this.dirty.slice(done);
  }

  private cached(lineage: Lineage<Runnable>, scope: string): Kept | undefined {
    for (let one = this.cache.get(lineage); one !== undefined; one = one.next)
      if (one.scope === scope) return one.kept;
    return undefined;
  }

  private changed(kept: Kept): void {
    if (kept.dirty || kept.candidate !== undefined) return;
    kept.dirty = true;
    this.dirty.push(kept);
  }

  private find(
    lineage: Lineage<Runnable>,
    scope: string,
    args: readonly string[] | undefined,
    second: number,
  ): Kept | undefined {
    const path = keptPath(lineage.image);
    if (path === undefined) {
      this.current = { ...this.current, unreadable: this.current.unreadable + 1 };
      return undefined;
    }
    const { exact, path: tree, complete, userIds } = treeOf(lineage);
    const users = joinUsers([], userIds ?? []);
    digest(`${scope}\u0000${path}\u0000${exact}\u0000${complete ? 1 : 0}`);
    const id = digestText();
    let kept = this.rows[this.table.get()];
    if (kept !== undefined) {
      kept.users = joinUsers(kept.users, users);
    } else {
      if (this.rows.length >= this.limits.trees || this.waiting.length >= this.limits.waiting) {
        // It is found again the next time it runs; if it never does, the learning knows that something is missing.
        this.current = { ...this.current, missed: this.current.missed + 1 };
        return undefined;
      }
      const sample = args === undefined ? "" : argumentsText(this.options.redact(args));
      const candidate = {
        id,
        scope,
        exact,
        path,
        tree,
        complete,
        first: second,
        arguments: sample || undefined,
      };
      kept = { id, users, last: second, count: 0, dirty: false, candidate };
      digestIs(id);
      this.table.set(this.rows.length);
      this.rows.push(kept);
      this.waiting.push(kept);
      this.current = countHour(this.current, second);
    }
    this.remember(lineage, scope, kept);
    return kept;
  }

  private remember(lineage: Lineage<Runnable>, scope: string, kept: Kept): void {
    const head = this.cache.get(lineage);
    let depth = 0;
    for (let one = head; one !== undefined; one = one.next) depth += 1;
    this.cache.set(lineage, { scope, kept, next: depth < SCOPES_OF_LINEAGE ? head : undefined });
  }
}
