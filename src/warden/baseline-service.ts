// What is known of this host: the baseline in force and the exclusions, which root wrote, and what is being learned,
// which is told and decides nothing until root has accepted it.
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { Baseline, type Knowledge } from "../baseline/baseline.ts";
import { type FileError, readBaseline } from "../baseline/baseline-file.ts";
import type { BaselineEntry } from "../baseline/entry.ts";
import { Exclusions, parseExclusions } from "../baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE, LEARNING_STATE, OF_ROLES } from "../baseline/file-names.ts";
import { Scopes, scope as scopeNames } from "../baseline/key.ts";
import { Learning, type ReportLearned } from "../baseline/learning.ts";
import {
  afterLoss,
  atTime,
  formatState,
  parseState,
  secondsLeft,
  startLearning,
  startWatching,
  stop,
} from "../baseline/learning-state.ts";
import {
  isRequestName,
  parseWardenRequest,
  REQUEST_FILE_LIMIT,
  REQUEST_FOLDER,
  REQUESTS_LIMIT,
  type WardenRequest,
} from "../baseline/warden-request.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { type Tree, treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { compileTreeGlob } from "../policy/glob.ts";
import { type RoleBaseline, shippedList } from "../policy/role-baseline.ts";
import type { EventRecord } from "../report/event-record.ts";
import { redactArguments } from "../report/redact.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { Epoch } from "./epoch.ts";
import { writeWhole } from "./saved-state.ts";
import type { Execution } from "./tracker.ts";

export interface BaselineServiceInputs {
  readonly stateDirectory: string;
  /** What comes with the roles: it counts as the host's own does. */
  readonly ofRoles: readonly RoleBaseline[];
  /** Tells a change of treewarden's own. */
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  /** Sends a report of what is learned. */
  readonly reportLearned: ReportLearned;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly now: () => number;
  /** Raised with every change of what the baseline and the exclusions answer. */
  readonly epoch: Epoch;
  /** What the examiner knows of a file of the host's, digest and all; it is asked for what it does not know. */
  readonly look: (facts: ProcessFacts) => ExaminedFile | undefined;
  /** The image that a container was made of; null: not known; undefined: not known yet. */
  readonly imageOf: (container: string) => string | null | undefined;
  /** What treewarden starts itself: known wherever a baseline is in force. */
  readonly own?: readonly BaselineEntry[];
}

/** What of a program that runs is asked about. */
type Asked = Pick<Execution, "facts" | "tree"> & { readonly process: Pick<Execution["process"], "lineage"> };

/** Something that ran in a container whose image was not known yet. */
interface Early {
  readonly container: string;
  readonly lineage: Lineage;
  readonly facts: ProcessFacts;
  readonly second: number;
}

/** What is kept until the image is known; of more, the learning knows that something is missing. */
const MOST_EARLY = 1024;

const nothing: Knowledge = {};
const unnamed = scopeNames.container;
const ROOT = 0;
/** A baseline of 100,000 trees is some 14 MB. */
const FILE_LIMIT = 256 << 20;

export class BaselineService {
  private readonly inputs: BaselineServiceInputs;
  private readonly scopes = new Scopes();
  private baseline: Baseline | undefined;
  private exclusions = new Exclusions([], compileTreeGlob);
  private learning: Learning;
  private ofRoles: readonly RoleBaseline[];
  private savedState = "";
  private savedRoles: string;
  /** The last attempt failed, and that was told. */
  private cannotSave = false;
  /** Seconds since 1970 at which the next exclusion ends; undefined: none does. */
  private exclusionEnd: number | undefined;
  private early: Early[] = [];

  constructor(inputs: BaselineServiceInputs) {
    this.inputs = inputs;
    const saved = readRootFile(join(inputs.stateDirectory, LEARNING_STATE));
    const state = saved === undefined ? undefined : parseState(saved.toString("utf8"));
    this.learning = this.newLearning(state ?? startWatching(inputs.now()));
    this.ofRoles = inputs.ofRoles;
    this.savedRoles =
      readRootFile(join(inputs.stateDirectory, OF_ROLES))?.toString("utf8") ?? shippedList([]);
    this.reload();
  }

  /** What the baseline knows of a program that runs; it is learned by the way. */
  lookUp(exec: Asked): Knowledge {
    const { process, facts, tree } = exec;
    const { lineage } = process;
    const { isLearning } = this;
    if (this.baseline === undefined && !isLearning) return nothing;
    const second = this.inputs.now();
    const image = lineage.container === null ? null : this.inputs.imageOf(lineage.container);
    if (lineage.container !== null && image === undefined) {
      this.wait({ container: lineage.container, lineage, facts, second });
      const known = this.baseline?.knowledge(lineage, unnamed, second) ?? nothing;
      // Below its image it may be known: that is neither yes nor no yet.
      return known.known === true ? known : nothing;
    }
    const scope = this.scopes.of(facts.cgroup, lineage.container, image ?? undefined);
    const knowledge = this.baseline?.knowledge(lineage, scope, second) ?? nothing;
    // Hidden is neither known nor unknown: no rule about either fires.
    if (knowledge.known === false && this.isHidden(tree, scope, second)) return nothing;
    if (isLearning || knowledge.known === false)
      this.learning.observe(lineage, scope, facts.args, second, facts);
    return knowledge;
  }

  private isHidden(tree: Tree, scope: string | undefined, second: number): boolean {
    if (this.exclusions.size === 0) return false;
    const asked = { labels: tree.labels, names: tree.names, scope, users: tree.userIds };
    return this.exclusions.hides(asked, second) !== undefined;
  }

  /** Every tree is collected. */
  get isLearning(): boolean {
    return this.learning.state.phase === "learning";
  }

  /** Collects what runs already. */
  observe(lineage: Lineage, facts: ProcessFacts): void {
    const { container } = lineage;
    const second = this.inputs.now();
    const image = container === null ? null : this.inputs.imageOf(container);
    if (container !== null && image === undefined) {
      this.wait({ container, lineage, facts, second });
      return;
    }
    const scope = this.scopes.of(facts.cgroup, container, image ?? undefined);
    this.learning.observe(lineage, scope, facts.args, second, facts);
  }

  private wait(early: Early): void {
    if (this.early.length < MOST_EARLY) this.early.push(early);
    else this.learning.miss();
  }

  /** What waited for the image of its container is collected like everything else, late. */
  private takeEarly(): void {
    const { early } = this;
    this.early = [];
    for (const one of early) {
      const { container, lineage, facts, second } = one;
      const image = this.inputs.imageOf(container);
      if (image === undefined) {
        this.early.push(one);
        continue;
      }
      const scope = this.scopes.of(facts.cgroup, container, image ?? undefined);
      const isUnknown = this.baseline?.knowledge(lineage, scope, second).known === false;
      if (isUnknown && this.isHidden(treeOf(lineage), scope, second)) continue;
      if (this.isLearning || isUnknown) this.learning.observe(lineage, scope, facts.args, second, facts);
    }
  }

  /** The examiner has looked at the file that was run under `path`. */
  examined(path: string, examined: ExaminedFile): void {
    this.learning.examined(path, examined);
  }

  /** The folded tree is in the baseline: its series stay. */
  isFamiliar(tree: Tree): boolean {
    return this.baseline?.isFamiliar(tree) ?? false;
  }

  /** Nanoseconds from `wallNow` (ns since 1970) until the next exclusion ends; undefined: none does. */
  exclusionEndsIn(wallNow: number): number | undefined {
    return this.exclusionEnd === undefined ? undefined : Math.max(0, this.exclusionEnd * 1e9 - wallNow);
  }

  /** What an exclusion that has ended by `wallNow` (ns since 1970) hid is decided about anew. */
  endExclusions(wallNow: number): void {
    if (this.exclusionEndsIn(wallNow) !== 0) return;
    this.exclusionEnd = this.exclusions.nextEnd(wallNow / 1e9);
    this.inputs.epoch.raise("exclusion ended");
  }

  onLoss(): void {
    this.learning.state = afterLoss(this.learning.state, this.inputs.now());
  }

  /** Seconds until a learning that loses nothing is over; undefined if there is none. */
  secondsLeft(): number | undefined {
    // A learning that missed something is never over by itself.
    if (this.learning.state.missed > 0) return undefined;
    return secondsLeft(this.learning.state, this.inputs.now());
  }

  /** Something waits to be told. */
  get hasReports(): boolean {
    return this.early.length > 0 || this.learning.hasReports;
  }

  /** Reports what was learned as far as there is room, and ends a learning whose time is over. */
  reportLearned(): void {
    this.takeEarly();
    const { state } = this.learning;
    this.learning.state = atTime(state, this.inputs.now());
    if (this.learning.state.phase !== state.phase) this.tellPhase();
    this.learning.report(this.inputs.reportLearned);
    this.save();
  }

  /** Reads what root's commands have left, and does it; true if a learning begins. */
  handleRequests(): boolean {
    let begins = false;
    for (const request of takeRequests(join(this.inputs.stateDirectory, REQUEST_FOLDER))) {
      this.obey(request);
      begins ||= request.kind === "learn";
    }
    return begins && this.isLearning;
  }

  /** Reads the files in force again; one that is broken changes nothing. `ofRoles`: from now on these come with the roles. */
  reload(ofRoles: readonly RoleBaseline[] = this.ofRoles): void {
    this.ofRoles = ofRoles;
    this.reloadExclusions();
    const path = join(this.inputs.stateDirectory, IN_FORCE);
    const own = readRootFile(path);
    if (own === undefined && existsSync(path)) {
      this.tellRejected(IN_FORCE, [{ line: 0, message: "not a file that root alone can write" }]);
      return;
    }
    const read = new Baseline();
    const result = own === undefined ? undefined : readBaseline(own, (entry) => read.add(entry));
    if (result?.ok === false) {
      this.tellRejected(IN_FORCE, result.errors);
      return;
    }
    for (const { bytes } of ofRoles) readBaseline(bytes, (entry) => read.add(entry));
    this.saveRoles();
    if (own === undefined && ofRoles.length === 0) {
      this.baseline = undefined;
      this.inputs.epoch.raise("baseline");
      return;
    }
    const trees = read.size;
    for (const entry of this.inputs.own ?? []) read.add(entry);
    this.baseline = read;
    this.inputs.epoch.raise("baseline");
    // Reading left many times its size behind.
    Bun.gc(true);
    const files = ofRoles.map(({ file, digest }) => `${file} ${digest}`);
    this.inputs.recordChange("baseline.loaded", {
      "baseline.trees": trees,
      ...(files.length === 0 ? {} : { "baseline.files": files }),
    });
  }

  private newLearning(state: ReturnType<typeof startWatching>): Learning {
    return new Learning({
      state,
      redact: (args) => redactArguments(args),
      look: (facts) => this.inputs.look(facts),
    });
  }

  private reloadExclusions(): void {
    const bytes = readRootFile(join(this.inputs.stateDirectory, EXCLUSIONS));
    const result = bytes === undefined ? undefined : parseExclusions(bytes.toString("utf8"), compileTreeGlob);
    if (result?.ok === false) {
      this.tellRejected(EXCLUSIONS, result.errors);
      return;
    }
    this.exclusions = new Exclusions(result?.value ?? [], compileTreeGlob);
    this.exclusionEnd = this.exclusions.nextEnd(this.inputs.now());
    this.inputs.epoch.raise("exclusions");
  }

  private obey(request: WardenRequest): void {
    const now = this.inputs.now();
    switch (request.kind) {
      case "learn":
        this.learning = this.newLearning(startLearning(now, request.seconds));
        this.tellPhase();
        break;
      case "stop-learning":
        this.learning.state = stop(this.learning.state, now);
        this.tellPhase();
        break;
      case "reload-baseline":
        this.reload();
        break;
    }
    this.save();
  }

  private tellPhase(): void {
    const { phase, trees, losses } = this.learning.state;
    this.inputs.recordChange(`baseline.${phase}`, { "baseline.trees": trees, "baseline.losses": losses });
  }

  private tellRejected(file: string, errors: readonly FileError[]): void {
    const texts = errors.map(({ line, message }) => `${file}:${line}: ${message}`);
    this.inputs.recordChange("baseline.rejected", { "baseline.errors": texts });
  }

  /** For commands, which cannot ask the warden. */
  private saveRoles(): void {
    const text = shippedList(this.ofRoles);
    if (text === this.savedRoles) return;
    try {
      writeWhole(join(this.inputs.stateDirectory, OF_ROLES), text);
      this.savedRoles = text;
    } catch (error) {
      this.inputs.recordChange("baseline.not_saved", { "error.message": String(error) });
    }
  }

  private save(): void {
    const text = formatState(this.learning.state);
    if (text === this.savedState) return;
    try {
      writeWhole(join(this.inputs.stateDirectory, LEARNING_STATE), text);
      this.savedState = text;
      this.cannotSave = false;
    } catch (error) {
      // A disk that somebody filled must not end the warden. With the next change it is tried again.
      if (!this.cannotSave)
        this.inputs.recordChange("baseline.not_saved", { "error.message": String(error) });
      this.cannotSave = true;
    }
  }
}

/** A regular file that belongs to root and that nobody else can write; undefined if there is none, or it is not so. */
function readRootFile(path: string, limit = FILE_LIMIT): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const { uid, mode, size } = fstatSync(fd);
    const isPlain = (mode & constants.S_IFMT) === constants.S_IFREG;
    if (!isPlain || uid !== ROOT || (mode & 0o022) !== 0 || size > limit) return undefined;
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The requests in the folder, in the order they were made; each is taken once. */
function takeRequests(folder: string): WardenRequest[] {
  const taken: WardenRequest[] = [];
  try {
    const { uid, mode } = lstatSync(folder);
    if ((mode & constants.S_IFMT) !== constants.S_IFDIR || uid !== ROOT || (mode & 0o077) !== 0) return taken;
    const names = readdirSync(folder).filter(isRequestName).sort().slice(0, REQUESTS_LIMIT);
    for (const name of names) {
      const bytes = readRootFile(join(folder, name), REQUEST_FILE_LIMIT);
      unlinkSync(join(folder, name));
      const request = bytes === undefined ? undefined : parseWardenRequest(bytes);
      if (request !== undefined) taken.push(request);
    }
  } catch {
    // No folder: nobody has asked for anything yet.
  }
  return taken;
}
