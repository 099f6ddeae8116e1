// Collects the trees of a learning run: each tree once, with its count. An exec costs one lookup; new and changed trees
// are reported in batches. Memory is bounded: trees that do not fit keep the run from finishing.
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { argumentsText, beginningOf } from "./arguments.ts";
import { contentPath } from "./content-path.ts";
import { contentsText } from "./contents.ts";
import { type Destination, LearnedDestinations } from "./destination.ts";
import { DigestTable, digest, digestText, setDigest } from "./digests.ts";
import { comparedExecutable } from "./executable-classes.ts";
import { EXECUTABLES_LIMIT, type Executable, executablesText, joinExecutables } from "./executables.ts";
import { baselinePath } from "./key.ts";
import type { LearnedTree, LearnedUpdate } from "./learned.ts";
import { countNewTree, type LearningState, uncountNewTree } from "./learning-state.ts";
import { type FoundContent, type SeenContent, SeenContents } from "./seen-contents.ts";
import { type SeenFile, SeenFiles } from "./seen-files.ts";
import { joinUsers, usersText } from "./users.ts";

export interface LearningLimits {
  /** Maximum number of trees. */
  readonly trees: number;
  /** Maximum number of trees that wait to be reported. */
  readonly waiting: number;
}

export interface LearningOptions {
  readonly state: LearningState;
  /** Removes secrets from arguments; called once for each new tree. */
  readonly redact: (args: readonly string[]) => readonly string[];
  /** What is known about the file of a process on the host. Called once for each new lineage, and must not block. */
  readonly look?: (facts: ProcessFacts) => ExaminedFile | undefined;
  /** Whether the lineage begins with the main program of its unit. Asked once for each new incomplete lineage. */
  readonly isFromMain?: (lineage: Lineage, facts: ProcessFacts) => boolean;
  readonly limits?: LearningLimits;
}

const LIMITS: LearningLimits = { trees: 100_000, waiting: 4_096 };
/** Maximum number of trees in one report of counts: about 5 KiB. */
const COUNTS_LIMIT = 64;
/** Number of scopes cached for one lineage. */
const SCOPES_OF_LINEAGE = 8;

/** One tree. Its texts are dropped once they are reported. */
interface CollectedTree {
  readonly id: string;
  users: readonly number[];
  last: number;
  count: number;
  /** Its count has changed since it was reported. */
  dirty: boolean;
  files: readonly SeenFile<CollectedTree>[];
  /** The content of its runnable; undefined if it is not compared by its digests. */
  content: SeenContent<CollectedTree> | undefined;
  /** Its files or contents have changed since it was reported. */
  filesChanged: boolean;
  /** It was not seen whole after all, and is collected anew when it is seen again. */
  dropped: boolean;
  /** Its texts; undefined once it is reported. */
  unreported: Omit<LearnedTree, "last" | "count" | "users" | "executables" | "contents"> | undefined;
}

interface Cached {
  readonly scope: string;
  readonly change: string | null;
  readonly tree: CollectedTree;
  readonly next: Cached | undefined;
}

/** Sends one report. Returns false if there is no room now; the same report is then offered again later. */
export type ReportLearned = (update: LearnedUpdate) => boolean;

/** Collects trees and reports them. */
export class Learning {
  private readonly options: LearningOptions;
  private readonly limits: LearningLimits;
  private readonly table = new DigestTable();
  private readonly rows: CollectedTree[] = [];
  /** Invalidated by: nothing, a lineage has one tree for each scope and change; another run has another Learning. */
  private readonly cache = new WeakMap<Lineage, Cached>();
  private waiting: CollectedTree[] = [];
  private dirty: CollectedTree[] = [];
  private withNewFiles: CollectedTree[] = [];
  private readonly files = new SeenFiles<CollectedTree>();
  private readonly contents = new SeenContents<CollectedTree>();
  /** By scope, change and habit. */
  private readonly destinations = new Map<string, LearnedDestinations>();
  private current: LearningState;

  constructor(options: LearningOptions) {
    this.options = options;
    this.limits = options.limits ?? LIMITS;
    this.current = options.state;
  }

  /** The current state, a new object after every change. The warden saves it across restarts. */
  get state(): LearningState {
    return this.current;
  }

  /** Starts, ends or changes the learning run; the collected trees stay. */
  set state(state: LearningState) {
    this.current = state;
  }

  /** Whether anything waits to be reported. */
  get hasReports(): boolean {
    return this.waiting.length + this.dirty.length + this.withNewFiles.length > 0;
  }

  /** The number of trees that were not reported yet. */
  get unreported(): number {
    return this.waiting.length;
  }

  /**
   * Counts an exec at `second` (since the epoch), unless its lineage is uncertain. `scope` is undefined if it could not
   * be read. With `facts`, the file that it runs is kept as well. What is collected for a change is kept apart.
   */
  observe(
    lineage: Lineage,
    scope: string | undefined,
    args: readonly string[] | undefined,
    second: number,
    facts?: ProcessFacts,
    change: string | null = null,
  ): void {
    if (lineage.uncertain) {
      this.current = { ...this.current, uncertain: this.current.uncertain + 1 };
      return;
    }
    if (scope === undefined) {
      this.current = { ...this.current, unreadable: this.current.unreadable + 1 };
      return;
    }
    const tree =
      this.cached(lineage, scope, change) ?? this.findOrAdd(lineage, scope, args, second, facts, change);
    if (tree === undefined) return;
    tree.count += 1;
    if (second > tree.last) tree.last = second;
    this.markCount(tree);
  }

  /**
   * Proposes a content of a known tree that is not accepted, see `observe`. It is a tree of its own, so that it
   * does not add to what a learning run has found.
   */
  observeContent(
    lineage: Lineage,
    scope: string | undefined,
    second: number,
    facts: ProcessFacts,
    content: string,
    change: string | null = null,
  ): void {
    if (lineage.uncertain || scope === undefined) return;
    const tree = this.findOrAdd(lineage, scope, facts.args, second, facts, change, content);
    if (tree === undefined) return;
    tree.count += 1;
    this.markCount(tree);
  }

  /**
   * Counts a connection, or a first datagram, of a process to a destination, see `observe`. Each is an entry of the
   * process's tree with the destination in place of the path.
   */
  observeDestination(
    lineage: Lineage,
    scope: string | undefined,
    second: number,
    facts: ProcessFacts,
    destination: Destination,
    change: string | null = null,
  ): void {
    if (lineage.uncertain || scope === undefined) return;
    // What is folded is kept only as far as it can be reported.
    if (this.rows.length >= this.limits.trees) return;
    const key = `${scope}\u0000${change ?? ""}\u0000${treeOf(lineage).habit}`;
    let learned = this.destinations.get(key);
    if (learned === undefined) {
      learned = new LearnedDestinations();
      this.destinations.set(key, learned);
    }
    const path = learned.add(destination);
    const tree = this.findOrAdd(lineage, scope, undefined, second, facts, change, undefined, path);
    if (tree === undefined) return;
    tree.count += 1;
    if (second > tree.last) tree.last = second;
    this.markCount(tree);
  }

  /** Counts an exec whose tree could not be kept. */
  miss(): void {
    this.current = { ...this.current, missed: this.current.missed + 1 };
  }

  /** Adds details on the file `path` of the host. */
  examined(path: string, examined: ExaminedFile): void {
    for (const tree of this.files.examined(path, examined)) this.markFiles(tree);
  }

  /** Whether the content of the file at `path` (`contentPath`) is to be looked at now, see `SeenContents.wants`. */
  wantsContent(path: string): boolean {
    return this.contents.wants(path, this.current.phase === "learning");
  }

  /** Adds what was found at `path` of the host, see `contentPath`. */
  foundContent(path: string, found: FoundContent): void {
    const isLearning = this.current.phase === "learning";
    for (const tree of this.contents.found(path, found, isLearning)) this.markFiles(tree);
  }

  /** Drops the trees that were first seen after `second` and are not reported yet: events were missing by then. */
  dropAfter(second: number): void {
    const isFresh = ({ unreported }: CollectedTree): boolean =>
      unreported !== undefined && unreported.first > second;
    for (const tree of this.waiting) {
      if (!isFresh(tree)) continue;
      tree.dropped = true;
      this.current = uncountNewTree({ ...this.current, uncertain: this.current.uncertain + tree.count });
    }
    this.waiting = this.waiting.filter(({ dropped }) => !dropped);
  }

  /**
   * Reports new trees, then changed ones, until `report` has no room. Of new trees only those that were first seen
   * by `until`, in seconds since the epoch.
   */
  report(report: ReportLearned, until = Number.POSITIVE_INFINITY): void {
    const { started } = this.current;
    let done = 0;
    for (const waiting of this.waiting) {
      if (waiting.unreported !== undefined && waiting.unreported.first > until) break;
      if (waiting.unreported !== undefined) {
        const tree = { ...waiting.unreported, ...countOf(waiting), ...filesOf(waiting) };
        if (!report({ kind: "tree", started, tree })) break;
      }
      waiting.unreported = undefined;
      waiting.filesChanged = false;
      waiting.dirty = false;
      done += 1;
    }
    this.waiting = this.waiting.slice(done);
    for (done = 0; done < this.dirty.length; done += COUNTS_LIMIT) {
      const changed = this.dirty.slice(done, done + COUNTS_LIMIT);
      if (!report({ kind: "counts", started, counts: changed.map(countOf) })) break;
      for (const tree of changed) tree.dirty = false;
    }
    this.dirty = this.dirty.slice(done);
    for (done = 0; done < this.withNewFiles.length; done++) {
      const tree = this.withNewFiles[done];
      if (tree?.filesChanged !== true) continue;
      if (!report({ kind: "executables", started, id: tree.id, ...filesOf(tree) })) break;
      tree.filesChanged = false;
    }
    this.withNewFiles = this.withNewFiles.slice(done);
  }

  private cached(lineage: Lineage, scope: string, change: string | null): CollectedTree | undefined {
    for (let cached = this.cache.get(lineage); cached !== undefined; cached = cached.next)
      if (cached.scope === scope && cached.change === change && !cached.tree.dropped) return cached.tree;
    return undefined;
  }

  private markCount(tree: CollectedTree): void {
    if (tree.dirty || tree.dropped || tree.unreported !== undefined) return;
    tree.dirty = true;
    this.dirty.push(tree);
  }

  private markFiles(tree: CollectedTree): void {
    if (tree.filesChanged || tree.dropped || tree.unreported !== undefined) return;
    tree.filesChanged = true;
    this.withNewFiles.push(tree);
  }

  /** Adds the file that the process runs to its tree. */
  private addFile(tree: CollectedTree, lineage: Lineage, facts: ProcessFacts | undefined): void {
    if (facts?.executable === undefined || tree.files.length >= EXECUTABLES_LIMIT) return;
    const isHost = isOnHost(lineage, facts);
    const file = this.files.of(facts.executable, isHost);
    if (file === undefined || tree.files.includes(file)) return;
    tree.files = [...tree.files, file];
    file.users.push(tree);
    this.markFiles(tree);
    const examined = isHost ? this.options.look?.(facts) : undefined;
    if (examined !== undefined) this.examined(facts.executable, examined);
  }

  /** Adds the path that the process runs to its tree. Contents are compared on the host alone. */
  private addContent(tree: CollectedTree, lineage: Lineage, facts: ProcessFacts | undefined): void {
    if (tree.content !== undefined || facts === undefined) return;
    const path = isOnHost(lineage, facts) ? contentPath(lineage.program) : null;
    const content = path === null ? undefined : this.contents.of(path.path);
    if (content === undefined) return;
    tree.content = content;
    content.users.push(tree);
    if (content.contents !== "unknown") this.markFiles(tree);
  }

  private findOrAdd(
    lineage: Lineage,
    scope: string,
    args: readonly string[] | undefined,
    second: number,
    facts: ProcessFacts | undefined,
    change: string | null,
    newContent?: string,
    destination?: string,
  ): CollectedTree | undefined {
    const path = destination ?? baselinePath(lineage.program);
    if (path === undefined) {
      this.current = { ...this.current, unreadable: this.current.unreadable + 1 };
      return undefined;
    }
    const { exact, habit, path: treePath, complete, userIds } = treeOf(lineage);
    const isFromMain = !complete && facts !== undefined && this.options.isFromMain?.(lineage, facts);
    const fromMain = isFromMain === true;
    const users = joinUsers([], userIds ?? []);
    const flags = `${complete ? 1 : 0}${fromMain ? 1 : 0}`;
    // Each executable is a tree of its own: what is seen after a learning run does not add to what it has learned.
    const executable = destination === undefined ? (comparedExecutable(lineage.program) ?? "") : "";
    const kind = `${newContent ?? ""}\u0000${change ?? ""}`;
    digest(`${scope}\u0000${path}\u0000${habit}\u0000${flags}\u0000${executable}\u0000${kind}`);
    const id = digestText();
    const row = this.table.get();
    const found = this.rows[row];
    let tree = found?.dropped === true ? undefined : found;
    if (tree !== undefined) {
      tree.users = joinUsers(tree.users, users);
    } else {
      const isFull = found === undefined && this.rows.length >= this.limits.trees;
      if (isFull || this.waiting.length >= this.limits.waiting) {
        // The tree is added when it runs again; until then `missed` keeps the run from finishing.
        this.current = { ...this.current, missed: this.current.missed + 1 };
        return undefined;
      }
      const sample = args === undefined ? "" : argumentsText(this.options.redact(beginningOf(args)));
      const unreported = {
        id,
        scope,
        exact,
        habit,
        path,
        tree: treePath,
        complete,
        fromMain,
        first: second,
        arguments: sample || null,
        change,
      };
      const initial = { dirty: false, filesChanged: false, dropped: false };
      tree = { id, users, last: second, count: 0, files: [], content: undefined, ...initial, unreported };
      if (found === undefined) {
        setDigest(id);
        this.table.set(this.rows.length);
        this.rows.push(tree);
      } else this.rows[row] = tree;
      this.waiting.push(tree);
      this.current = countNewTree(this.current, second);
    }
    if (destination !== undefined) return tree;
    this.addFile(tree, lineage, facts);
    if (newContent !== undefined) {
      tree.content = { contents: [newContent], users: [], wasWanted: true };
      return tree;
    }
    this.addContent(tree, lineage, facts);
    this.addToCache(lineage, { scope, change, tree });
    return tree;
  }

  private addToCache(lineage: Lineage, collected: Omit<Cached, "next">): void {
    const head = this.cache.get(lineage);
    let depth = 0;
    for (let cached = head; cached !== undefined; cached = cached.next) depth += 1;
    this.cache.set(lineage, { ...collected, next: depth < SCOPES_OF_LINEAGE ? head : undefined });
  }
}

function countOf({
  id,
  last,
  count,
  users,
}: CollectedTree): Pick<LearnedTree, "id" | "last" | "count" | "users"> {
  return { id, last, count, users: usersText(users) };
}

function filesOf({ files, content }: CollectedTree): Pick<LearnedTree, "executables" | "contents"> {
  let all: readonly Executable[] = [];
  for (const { executables } of files) all = joinExecutables(all, executables);
  return { executables: executablesText(all), contents: contentsText(content?.contents ?? "unknown") };
}

/** Whether paths name files of the host, and not those that an image or a user has mounted there. */
export function isOnHost({ container }: Lineage, { userMounts }: ProcessFacts): boolean {
  return container === null && userMounts !== true;
}
