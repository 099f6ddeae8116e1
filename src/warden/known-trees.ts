// What root has accepted on this host: the baseline in force, the baselines that come with the roles, and exclusions.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Baseline, type Knowledge } from "../baseline/baseline.ts";
import { type FileError, readBaseline } from "../baseline/baseline-file.ts";
import type { BaselineEntry } from "../baseline/entry.ts";
import { Exclusions, parseExclusions } from "../baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE, OF_ROLES } from "../baseline/file-names.ts";
import { Scopes, scope as scopeNames } from "../baseline/key.ts";
import type { Tree } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { readCheckedFileOrNothing, rootOnly } from "../linux/root-file.ts";
import { compileTreeGlob } from "../policy/glob.ts";
import { type RoleBaseline, shippedList } from "../policy/role-baseline.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { Epoch } from "./epoch.ts";
import type { Execution } from "./tracker.ts";

/** What of an exec is looked up. */
export type KnowableExec = Pick<Execution, "facts" | "tree"> & {
  readonly process: Pick<Execution["process"], "lineage">;
};

export interface KnownTreesInputs {
  readonly stateDirectory: string;
  /** The baselines that come with the roles; they count as the host's own does. */
  readonly ofRoles: readonly RoleBaseline[];
  /** The trees of what treewarden starts itself: known wherever a baseline is in force. */
  readonly own?: readonly BaselineEntry[];
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  /** Replaces a file as a whole, now or later; calls `failed` if it cannot. */
  readonly writeFile: (path: string, text: string, failed: (error: unknown) => void) => void;
  /** Raised with every change of what the baseline and the exclusions answer. */
  readonly epoch: Epoch;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly now: () => number;
  /** The image that a container was made of; null: not known; undefined: not known yet. */
  readonly imageOf: (container: string) => string | null | undefined;
}

const nothing: Knowledge = {};
const unnamedContainer = scopeNames.container;
/** A baseline of 100,000 trees is some 14 MB. */
const FILE_LIMIT = 256 << 20;

export class KnownTrees {
  private readonly inputs: KnownTreesInputs;
  private readonly scopes = new Scopes();
  private baseline: Baseline | undefined;
  private exclusions = new Exclusions([], compileTreeGlob);
  private ofRoles: readonly RoleBaseline[];
  private savedRoles: string;
  /** Seconds since 1970 at which the next exclusion ends; undefined: none does. */
  private exclusionEnd: number | undefined;

  constructor(inputs: KnownTreesInputs) {
    this.inputs = inputs;
    this.ofRoles = inputs.ofRoles;
    this.savedRoles = this.read(OF_ROLES)?.toString("utf8") ?? shippedList([]);
    this.reload();
  }

  /** A baseline is in force. */
  get hasBaseline(): boolean {
    return this.baseline !== undefined;
  }

  /** What the baseline knows of an exec. Says nothing while the image of its container is not known, or if it is excluded. */
  lookUp({ process: { lineage }, facts, tree }: KnowableExec): Knowledge {
    if (this.baseline === undefined) return nothing;
    const scope = this.scopeOf(lineage, facts);
    if (scope !== "pending") return this.compare(lineage, tree, scope) ?? nothing;
    // Under the name of its image it may be known, so an unknown tree is neither known nor unknown yet.
    const knowledge = this.baseline.knowledge(lineage, unnamedContainer, this.inputs.now());
    return knowledge.known === true ? knowledge : nothing;
  }

  /** The scope that a program runs in; `pending`: the image of its container is not known yet. */
  scopeOf({ container }: Lineage, facts: ProcessFacts): string | undefined | "pending" {
    const image = container === null ? null : this.inputs.imageOf(container);
    if (image === undefined) return "pending";
    return this.scopes.of(facts.cgroup, container, image ?? undefined);
  }

  /** What the baseline knows of a lineage in a scope; undefined if the tree is unknown and an exclusion hides it. */
  compare(lineage: Lineage, tree: Tree, scope: string | undefined): Knowledge | undefined {
    const second = this.inputs.now();
    const knowledge = this.baseline?.knowledge(lineage, scope, second) ?? nothing;
    return knowledge.known === false && this.isExcluded(tree, scope, second) ? undefined : knowledge;
  }

  private isExcluded(tree: Tree, scope: string | undefined, second: number): boolean {
    if (this.exclusions.size === 0) return false;
    const excludable = { labels: tree.labels, names: tree.names, scope, users: tree.userIds };
    return this.exclusions.hides(excludable, second) !== undefined;
  }

  /** The folded tree is in the baseline: its metrics stay. */
  isFamiliar(tree: Tree): boolean {
    return this.baseline?.isFamiliar(tree) ?? false;
  }

  /** Nanoseconds from `wallNow` (ns since 1970) until the next exclusion ends; undefined: none does. */
  exclusionEndsIn(wallNow: number): number | undefined {
    return this.exclusionEnd === undefined ? undefined : Math.max(0, this.exclusionEnd * 1e9 - wallNow);
  }

  /** Trees that an exclusion hid until it ended, by `wallNow` (ns since 1970), are decided about anew. */
  endExclusions(wallNow: number): void {
    if (this.exclusionEndsIn(wallNow) !== 0) return;
    this.exclusionEnd = this.exclusions.nextEnd(wallNow / 1e9);
    this.inputs.epoch.raise("exclusion ended");
  }

  /**
   * Reads the files in force again. A file that is broken is reported and changes nothing. `ofRoles`: the baselines that
   * come with the roles from now on.
   */
  reload(ofRoles: readonly RoleBaseline[] = this.ofRoles): void {
    this.ofRoles = ofRoles;
    this.reloadExclusions();
    const own = this.read(IN_FORCE);
    if (own === undefined && existsSync(join(this.inputs.stateDirectory, IN_FORCE))) {
      this.reject(IN_FORCE, [{ line: 0, message: "not a file that root alone can write" }]);
      return;
    }
    const baseline = new Baseline();
    const result = own === undefined ? undefined : readBaseline(own, (entry) => baseline.add(entry));
    if (result?.ok === false) {
      this.reject(IN_FORCE, result.errors);
      return;
    }
    for (const { bytes } of ofRoles) readBaseline(bytes, (entry) => baseline.add(entry));
    this.saveRoles();
    if (own === undefined && ofRoles.length === 0) {
      this.baseline = undefined;
      this.inputs.epoch.raise("baseline");
      return;
    }
    const trees = baseline.size;
    for (const entry of this.inputs.own ?? []) baseline.add(entry);
    this.baseline = baseline;
    this.inputs.epoch.raise("baseline");
    // Reading took many times the memory that the baseline needs.
    Bun.gc(true);
    const files = ofRoles.map(({ file, digest }) => `${file} ${digest}`);
    this.inputs.recordChange("baseline.loaded", {
      "baseline.trees": trees,
      ...(files.length === 0 ? {} : { "baseline.files": files }),
    });
  }

  private reloadExclusions(): void {
    const bytes = this.read(EXCLUSIONS);
    const result = bytes && parseExclusions(bytes.toString("utf8"), compileTreeGlob);
    if (result?.ok === false) {
      this.reject(EXCLUSIONS, result.errors);
      return;
    }
    this.exclusions = new Exclusions(result?.value ?? [], compileTreeGlob);
    this.exclusionEnd = this.exclusions.nextEnd(this.inputs.now());
    this.inputs.epoch.raise("exclusions");
  }

  private read(file: string): Buffer | undefined {
    return readCheckedFileOrNothing(join(this.inputs.stateDirectory, file), rootOnly(FILE_LIMIT));
  }

  private reject(file: string, errors: readonly FileError[]): void {
    const texts = errors.map(({ line, message }) => `${file}:${line}: ${message}`);
    this.inputs.recordChange("baseline.rejected", { "baseline.errors": texts });
  }

  /** Commands read the list of the roles' baselines from a file, because they cannot ask the warden. */
  private saveRoles(): void {
    const text = shippedList(this.ofRoles);
    if (text === this.savedRoles) return;
    this.savedRoles = text;
    this.inputs.writeFile(join(this.inputs.stateDirectory, OF_ROLES), text, (error) => {
      this.savedRoles = "";
      this.inputs.recordChange("baseline.not_saved", { "error.message": String(error) });
    });
  }
}
