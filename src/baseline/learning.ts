// What the warden keeps while it learns: every tree once, and how often. A lookup an exec; what is new or has changed
// leaves in batches. Bounded: what does not fit makes the learning unfinished, never the warden larger.
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { argumentsText, beginningOf } from "./arguments.ts";
import { DigestTable, digest, digestIs, digestText } from "./digests.ts";
import { joinUsers } from "./entry.ts";
import { EXECUTABLES_LIMIT, type Executable, executablesText, joinExecutables } from "./executables.ts";
import { keptPath } from "./key.ts";
import { type LearnedTree, type LearnedUpdate, usersText } from "./learned.ts";
import { countHour, type LearningState } from "./learning-state.ts";
import { type SeenFile, SeenFiles } from "./seen-files.ts";

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
  /** What is known of the file that a process of the host runs; asked once for each new lineage, never waited for. */
  readonly look?: (facts: ProcessFacts) => ExaminedFile | undefined;
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
  files: readonly SeenFile<Kept>[];
  /** Something new is known of its files since it was reported. */
  looked: boolean;
  /** Its texts, until it was reported. */
  unreported: Omit<LearnedTree, "last" | "count" | "users" | "executables"> | undefined;
}

interface Cached {
  readonly scope: string;
  readonly kept: Kept;
  readonly next: Cached | undefined;
}

/** Takes one report; false if there is no room now, and then the same is offered again later. */
export type ReportLearned = (update: LearnedUpdate) => boolean;

export class Learning {
  private readonly options: LearningOptions;
  private readonly limits: LearningLimits;
  private readonly table = new DigestTable();
  private readonly rows: Kept[] = [];
  /** Invalidated by: nothing, a lineage has one entry in each scope; another learning begins with an empty cache. */
  private readonly cache = new WeakMap<Lineage, Cached>();
  private waiting: Kept[] = [];
  private dirty: Kept[] = [];
  private lookedAt: Kept[] = [];
  private readonly files = new SeenFiles<Kept>();
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
    return this.waiting.length + this.dirty.length + this.lookedAt.length > 0;
  }

  /**
   * A program runs; `second`: since the epoch; `scope`: undefined if it could not be read. `facts`: to look at its file
   * by, if that is to be kept.
   */
  observe(
    lineage: Lineage,
    scope: string | undefined,
    args: readonly string[] | undefined,
    second: number,
    facts?: ProcessFacts,
  ): void {
    if (scope === undefined) {
      this.current = { ...this.current, unreadable: this.current.unreadable + 1 };
      return;
    }
    const kept = this.cached(lineage, scope) ?? this.find(lineage, scope, args, second, facts);
    if (kept === undefined) return;
    kept.count += 1;
    if (second > kept.last) kept.last = second;
    this.changed(kept);
  }

  /** Something ran that could not be kept. */
  miss(): void {
    this.current = { ...this.current, missed: this.current.missed + 1 };
  }

  /** More is known of the file that a process of the host runs under `path`. */
  examined(path: string, examined: ExaminedFile): void {
    for (const kept of this.files.examined(path, examined)) this.more(kept);
  }

  /** Reports what is new, then what has changed, until `report` has no room. */
  report(report: ReportLearned): void {
    const { started } = this.current;
    let done = 0;
    for (const kept of this.waiting) {
      if (kept.unreported !== undefined) {
        const tree = { ...kept.unreported, ...countOf(kept), executables: executablesOf(kept) };
        if (!report({ kind: "tree", started, tree })) break;
      }
      kept.unreported = undefined;
      kept.looked = false;
      kept.dirty = false;
      done += 1;
    }
    this.waiting = this.waiting.slice(done);
    for (done = 0; done < this.dirty.length; done += COUNTS_LIMIT) {
      const changed = this.dirty.slice(done, done + COUNTS_LIMIT);
      if (!report({ kind: "counts", started, counts: changed.map(countOf) })) break;
      for (const kept of changed) kept.dirty = false;
    }
    this.dirty = this.dirty.slice(done);
    for (done = 0; done < this.lookedAt.length; done++) {
      const kept = this.lookedAt[done];
      if (kept?.looked !== true) continue;
      if (!report({ kind: "executables", started, id: kept.id, executables: executablesOf(kept) })) break;
      kept.looked = false;
    }
    this.lookedAt = this.lookedAt.slice(done);
  }

  private cached(lineage: Lineage, scope: string): Kept | undefined {
    for (let one = this.cache.get(lineage); one !== undefined; one = one.next)
      if (one.scope === scope) return one.kept;
    return undefined;
  }

  private changed(kept: Kept): void {
    if (kept.dirty || kept.unreported !== undefined) return;
    kept.dirty = true;
    this.dirty.push(kept);
  }

  private more(kept: Kept): void {
    if (kept.looked || kept.unreported !== undefined) return;
    kept.looked = true;
    this.lookedAt.push(kept);
  }

  private runs(kept: Kept, lineage: Lineage, facts: ProcessFacts | undefined): void {
    if (facts?.executable === undefined || kept.files.length >= EXECUTABLES_LIMIT) return;
    const isHost = lineage.container === null && facts.userMounts !== true;
    const file = this.files.of(facts.executable, isHost);
    if (file === undefined || kept.files.includes(file)) return;
    kept.files = [...kept.files, file];
    file.users.push(kept);
    this.more(kept);
    const known = isHost ? this.options.look?.(facts) : undefined;
    if (known !== undefined) this.examined(facts.executable, known);
  }

  private find(
    lineage: Lineage,
    scope: string,
    args: readonly string[] | undefined,
    second: number,
    facts: ProcessFacts | undefined,
  ): Kept | undefined {
    const path = keptPath(lineage.program);
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
      const sample = args === undefined ? "" : argumentsText(this.options.redact(beginningOf(args)));
      const unreported = {
        id,
        scope,
        exact,
        path,
        tree,
        complete,
        first: second,
        arguments: sample || null,
      };
      kept = { id, users, last: second, count: 0, dirty: false, files: [], looked: false, unreported };
      digestIs(id);
      this.table.set(this.rows.length);
      this.rows.push(kept);
      this.waiting.push(kept);
      this.current = countHour(this.current, second);
    }
    this.runs(kept, lineage, facts);
    this.remember(lineage, scope, kept);
    return kept;
  }

  private remember(lineage: Lineage, scope: string, kept: Kept): void {
    const head = this.cache.get(lineage);
    let depth = 0;
    for (let one = head; one !== undefined; one = one.next) depth += 1;
    this.cache.set(lineage, { scope, kept, next: depth < SCOPES_OF_LINEAGE ? head : undefined });
  }
}

function countOf({ id, last, count, users }: Kept): Pick<LearnedTree, "id" | "last" | "count" | "users"> {
  return { id, last, count, users: usersText(users) };
}

function executablesOf({ files }: Kept): string {
  let all: readonly Executable[] = [];
  for (const { executables } of files) all = joinExecutables(all, executables);
  return executablesText(all);
}
