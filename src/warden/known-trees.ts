// What root has accepted on this host: the baseline in force, the baselines that come with the roles, and exclusions.
import { join } from "node:path";
import { AcceptedTrees, type ScopeOrPending } from "../baseline/accepted-trees.ts";
import { Baseline, type Knowledge } from "../baseline/baseline.ts";
import { type FileError, formatBaseline, readingBaseline } from "../baseline/baseline-file.ts";
import type { Destination } from "../baseline/destination.ts";
import { type BaselineEntry, mergeEntries } from "../baseline/entry.ts";
import { Exclusions, formatExclusions, parseExclusions } from "../baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE, OF_ROLES } from "../baseline/file-names.ts";
import { ProgramsBelow } from "../baseline/programs-below.ts";
import { type Tree, treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { readCheckedFile, readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import { globCompilers } from "../policy/glob.ts";
import { formatRoleBaselines, type RoleBaseline } from "../policy/role-baseline.ts";
import { digestOf } from "../policy/signature.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Totals } from "../report/totals.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { Moment } from "../vocabulary/moment.ts";
import { allSteps, type Steps } from "../vocabulary/steps.ts";
import type { WriteFile } from "./atomic-file-writer.ts";
import { baselineTexts, captureTexts } from "./capture-texts.ts";
import type { Epoch } from "./epoch.ts";
import { OpenChanges } from "./open-changes.ts";
import type { Execution } from "./tracker.ts";
import type { NamedText } from "./warden-capture.ts";

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
  readonly writeFile: WriteFile;
  /** The programs below each tree are wanted as a list, too. */
  readonly listsPrograms?: boolean;
  /** Raised with every change of what the baseline and the exclusions answer. */
  readonly epoch: Epoch;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly now: () => number;
  readonly moment: () => Moment;
  /** The image that a container was made of; null: not known; undefined: not known yet. */
  readonly imageOf: (container: string) => string | null | undefined;
}

/** What a baseline in force was read from. */
interface BaselineSources {
  /** Digest of the host's own file; undefined if there was none. */
  readonly host: string | undefined;
  readonly ofRoles: readonly RoleBaseline[];
}

/** A baseline of 100,000 trees is some 14 MB. */
const FILE_LIMIT = 256 << 20;

export class KnownTrees {
  private readonly inputs: KnownTreesInputs;
  private readonly accepted = new AcceptedTrees(undefined, new Exclusions([], globCompilers));
  private ofRoles: readonly RoleBaseline[];
  /** Of the baseline in force; empty unless it is wanted. */
  private programs = new ProgramsBelow();
  /** When the baseline in force was read: seconds since 1970. */
  private since = 0;
  /** What the baseline in force was read from. */
  private sources: BaselineSources = { host: undefined, ofRoles: [] };
  private savedRoles: string;
  /** The digest in treewarden_baseline_info; undefined while there is no such series. */
  private publishedDigest: string | undefined;
  /** An exclusion will end. */
  private hasEnds = false;
  private readonly openChanges: OpenChanges;

  constructor(inputs: KnownTreesInputs) {
    this.inputs = inputs;
    this.ofRoles = inputs.ofRoles;
    this.openChanges = new OpenChanges(inputs);
    this.savedRoles = this.read(OF_ROLES)?.toString("utf8") ?? formatRoleBaselines([]);
    allSteps(this.reloading());
  }

  /** The baseline in force: the digest of the host's own file, trees, and since when (seconds since 1970); or null. */
  get summary(): { readonly digest: string | null; readonly trees: number; readonly since: number } | null {
    const { baseline } = this.accepted;
    if (!(baseline instanceof Baseline)) return null;
    return { digest: this.sources.host ?? null, trees: baseline.size, since: this.since };
  }

  /** Shows the baseline in force in the metrics. */
  publishInfo(totals: Totals): void {
    const digest = this.hasBaseline ? (this.sources.host ?? "none") : undefined;
    if (digest === this.publishedDigest) return;
    if (this.publishedDigest !== undefined) totals.remove("baselineInfo", { digest: this.publishedDigest });
    if (digest !== undefined) totals.gauge("baselineInfo", { digest }).set(1);
    this.publishedDigest = digest;
  }

  /** A baseline is in force. */
  get hasBaseline(): boolean {
    return this.accepted.baseline instanceof Baseline;
  }

  /**
   * What the baseline knows of an exec at `second`, since 1970-01-01T00:00:00Z. Empty while that cannot be told, for
   * example because the image of its container is not known yet, and if it is excluded.
   */
  lookUp({ process: { lineage }, facts, tree }: KnowableExec, second: number): Knowledge {
    return this.accepted.lookUp(lineage, tree, this.scopeOf(lineage, facts), second);
  }

  /** The scope that a program runs in; `pending`: the image of its container is not known yet. */
  scopeOf(lineage: Lineage, facts: ProcessFacts): ScopeOrPending {
    const { container } = lineage;
    return this.accepted.scopeOf(lineage, facts, container === null ? null : this.inputs.imageOf(container));
  }

  /**
   * Whether a process is known to connect or send to `destination`; null: no destinations were ever accepted; undefined
   * while it cannot be told, or if an exclusion hides the process.
   */
  knowsDestination(
    { process: { lineage }, facts, tree }: KnowableExec,
    destination: Destination,
  ): boolean | null | undefined {
    const { baseline } = this.accepted;
    if (!(baseline instanceof Baseline)) return baseline;
    const scope = this.scopeOf(lineage, facts);
    if (scope === "pending") return undefined;
    const isKnown = baseline.knowsDestination(lineage, scope, destination);
    if (isKnown !== false || this.accepted.exclusions.size === 0) return isKnown;
    const hidden = { labels: tree.labels, names: tree.names, habitNames: tree.habitNames };
    const whose = { scope, users: tree.userIds };
    const second = this.inputs.now();
    const isHidden =
      this.accepted.exclusions.changeOf(lineage, whose, second) !== undefined ||
      this.accepted.exclusions.hides({ ...hidden, ...whose }, second) !== undefined;
    return isHidden ? undefined : false;
  }

  /** What the baseline knows of a lineage in a scope; undefined if the tree is unknown and an exclusion hides it. */
  compare(lineage: Lineage, tree: Tree, scope: string | undefined): Knowledge | undefined {
    return this.accepted.compare(lineage, tree, scope, this.inputs.now());
  }

  /** The id of the change in whose open window a process is, known or not; undefined for none. */
  windowOf({
    lineage,
    facts,
  }: {
    readonly lineage: Lineage;
    readonly facts: ProcessFacts;
  }): string | undefined {
    const { exclusions } = this.accepted;
    if (exclusions.size === 0 || !this.hasBaseline) return undefined;
    const scope = this.scopeOf(lineage, facts);
    const users = treeOf(lineage).userIds;
    return exclusions.changeOf(
      lineage,
      { scope: scope === "pending" ? undefined : scope, users },
      this.inputs.now(),
    )?.id;
  }

  /** The programs that the baseline knows below trees; undefined where an exclusion may hide what it does not know. */
  get programsBelow(): ProgramsBelow | undefined {
    return this.accepted.exclusions.size === 0 && this.inputs.listsPrograms === true
      ? this.programs
      : undefined;
  }

  /** The folded tree is in the baseline: its metrics stay. */
  isFamiliar(tree: Tree): boolean {
    return this.accepted.baseline?.isFamiliar(tree) ?? false;
  }

  /** Nanoseconds until the next exclusion ends; undefined: none does. */
  exclusionEndsIn(): number | undefined {
    if (!this.hasEnds) return undefined;
    const seconds = this.accepted.exclusions.nextEndIn(this.inputs.moment());
    return seconds === undefined ? undefined : Math.max(0, seconds * 1e9);
  }

  /** Trees that an exclusion hid until it ended are decided about anew. */
  endExclusions(): void {
    if (this.exclusionEndsIn() !== 0) return;
    this.endNow();
    this.inputs.epoch.raise("exclusion ended");
  }

  /** Ends what has ended, and reports changes that began or ended. */
  private endNow(): void {
    const { exclusions } = this.accepted;
    const now = this.inputs.moment();
    exclusions.end(now);
    this.hasEnds = exclusions.nextEndIn(now) !== undefined;
    this.openChanges.update(exclusions.current);
  }

  /**
   * Reads the files in force again; returns what is wrong with them. A file that is broken is reported and changes nothing.
   * `ofRoles`: the baselines that come with the roles from now on.
   */
  *reloading(ofRoles: readonly RoleBaseline[] = this.ofRoles): Steps<readonly string[]> {
    this.ofRoles = ofRoles;
    const problems = this.reloadExclusions();
    const own = this.readOrReject(IN_FORCE);
    if (own === "rejected") return [...problems, `${IN_FORCE} cannot be used`];
    const baseline = new Baseline();
    const programs = new ProgramsBelow();
    const add = (entry: BaselineEntry): void => {
      baseline.add(entry);
      if (this.inputs.listsPrograms === true) programs.add(entry);
    };
    const result = own === undefined ? undefined : yield* readingBaseline(own, add);
    if (result?.ok === false) return [...problems, ...this.reject(IN_FORCE, result.errors)];
    for (const { bytes } of ofRoles) yield* readingBaseline(bytes, add);
    this.saveRoles();
    this.sources = { host: own === undefined ? undefined : digestOf(own), ofRoles };
    if (own === undefined && ofRoles.length === 0) {
      this.accepted.baseline = null;
      this.inputs.epoch.raise("baseline");
      return problems;
    }
    const trees = baseline.size;
    for (const entry of this.inputs.own ?? []) add(entry);
    this.accepted.baseline = baseline;
    this.programs = programs;
    this.since = this.inputs.now();
    this.inputs.epoch.raise("baseline");
    const files = ofRoles.map(({ file, digest }) => `${file} ${digest}`);
    this.inputs.recordChange("baseline.loaded", {
      "baseline.trees": trees,
      ...(files.length === 0 ? {} : { "baseline.files": files }),
    });
    return problems;
  }

  /** Reads the exclusions again; returns what is wrong with their file, which then changes nothing. */
  reloadExclusions(): readonly string[] {
    const bytes = this.readOrReject(EXCLUSIONS);
    if (bytes === "rejected") return [`${EXCLUSIONS} cannot be used`];
    const result = bytes && parseExclusions(bytes.toString("utf8"), globCompilers);
    if (result?.ok === false) return this.reject(EXCLUSIONS, result.errors);
    this.accepted.exclusions = new Exclusions(result?.value ?? [], globCompilers);
    this.endNow();
    this.inputs.epoch.raise("exclusions");
    return [];
  }

  /** The exclusions in force as the text of a file; empty if there are none. */
  exclusionsInForce(): string {
    const { current } = this.accepted.exclusions;
    return current.length === 0 ? "" : formatExclusions(current);
  }

  /**
   * The baselines in force as texts of a capture, and last the list of their names. undefined if the host's file is
   * not the one that was read, and cannot be read instead.
   */
  baselinesInForce(): readonly NamedText[] | undefined {
    const host = this.hostFile() ?? this.hostFileAgain();
    if (host === undefined) return undefined;
    const texts: NamedText[] = [];
    if (host !== null) texts.push({ name: baselineTexts.host, text: host });
    for (const [i, { bytes }] of this.sources.ofRoles.entries())
      texts.push({ name: baselineTexts.ofRole(i), text: new TextDecoder().decode(bytes) });
    const { own = [] } = this.inputs;
    if (texts.length > 0 && own.length > 0) texts.push({ name: baselineTexts.own, text: fileOf(own) });
    const names = texts.map(({ name }) => name);
    return [...texts, { name: captureTexts.baselinesInForce, text: JSON.stringify(names) }];
  }

  /** The host's own baseline as it was read; null if there was none; undefined if the file is another one by now. */
  private hostFile(): string | null | undefined {
    const { host } = this.sources;
    const bytes = this.read(IN_FORCE);
    if (bytes === undefined) return host === undefined ? null : undefined;
    return digestOf(bytes) === host ? bytes.toString("utf8") : undefined;
  }

  private hostFileAgain(): string | null | undefined {
    allSteps(this.reloading());
    return this.hostFile();
  }

  private read(file: string): Buffer | undefined {
    return readCheckedFileOrNothing(join(this.inputs.stateDirectory, file), stateFile(FILE_LIMIT));
  }

  /** undefined if there is no such file. A file that other users can have written is reported and `rejected`. */
  private readOrReject(file: string): Buffer | "rejected" | undefined {
    const content = readCheckedFile(join(this.inputs.stateDirectory, file), stateFile(FILE_LIMIT));
    if (content.ok) return content.bytes;
    const { kind, reason, fix } = content.problem;
    if (kind === "missing") return undefined;
    this.reject(file, [{ line: 0, message: fix === undefined ? reason : `${reason}: ${fix}` }]);
    return "rejected";
  }

  /** Reports the errors of a file, and returns them as texts. */
  private reject(file: string, errors: readonly FileError[]): readonly string[] {
    const texts = errors.map(({ line, message }) => `${file}:${line}: ${message}`);
    this.inputs.recordChange("baseline.rejected", { "baseline.errors": texts });
    return texts;
  }

  /** Commands read the list of the roles' baselines from a file, because they cannot ask the warden. */
  private saveRoles(): void {
    const text = formatRoleBaselines(this.ofRoles);
    if (text === this.savedRoles) return;
    this.savedRoles = text;
    this.inputs.writeFile(join(this.inputs.stateDirectory, OF_ROLES), text, (error) => {
      this.savedRoles = "";
      this.inputs.recordChange("baseline.not_saved", { "error.message": String(error) });
    });
  }
}

/** Entries of treewarden's own as a baseline file. */
function fileOf(entries: readonly BaselineEntry[]): string {
  const header = { role: undefined, hosts: [], created: 0, learnedFrom: 0, learnedTo: 0 };
  return formatBaseline({ header, entries: mergeEntries([entries], false) });
}
