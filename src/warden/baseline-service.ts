// What is known of this host: the baseline in force and the exclusions, which root wrote, and what is being learned,
// which is told and decides nothing until root has accepted it.
import { constants, existsSync, lstatSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { Baseline } from "../baseline/baseline.ts";
import { type FileError, formatBaseline, readBaseline } from "../baseline/baseline-file.ts";
import { type BaselineEntry, mergeEntries } from "../baseline/entry.ts";
import { Exclusions, parseExclusions } from "../baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE, LEARNING_STATE, OF_ROLES } from "../baseline/file-names.ts";
import { KnownTrees } from "../baseline/known-trees.ts";
import {
  countedEvent,
  countedFields,
  learnedEvent,
  learnedFields,
  lookedEvent,
  lookedFields,
} from "../baseline/learned.ts";
import { Learning } from "../baseline/learning.ts";
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
  type CaptureRequest,
  isRequestName,
  parseWardenRequest,
  REQUEST_FILE_LIMIT,
  REQUEST_FOLDER,
  REQUESTS_LIMIT,
  type WardenRequest,
} from "../baseline/warden-request.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { type Tree, treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { readCheckedFileOrNothing, rootOnly } from "../linux/root-file.ts";
import { compileTreeGlob } from "../policy/glob.ts";
import { type RoleBaseline, shippedList } from "../policy/role-baseline.ts";
import { digestOf } from "../policy/signature.ts";
import type { Knowledge } from "../policy/subject.ts";
import type { EventRecord } from "../report/event-record.ts";
import { redactArguments } from "../report/redact.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { baselineTexts, captureTexts } from "./capture-texts.ts";
import type { Epoch } from "./epoch.ts";
import { writeWhole } from "./saved-state.ts";
import type { Execution } from "./tracker.ts";
import type { NamedText } from "./warden-capture.ts";

export interface BaselineServiceInputs {
  readonly stateDirectory: string;
  /** What comes with the roles: it counts as the host's own does. */
  readonly ofRoles: readonly RoleBaseline[];
  /** Tells a change of treewarden's own. */
  readonly recordChange: (event: string, details: EventRecord) => void;
  /** There is room for records that must not be lost, beyond what verdicts may need. */
  readonly hasRoom: () => boolean;
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
  /** A request that is about a capture. */
  readonly onCaptureRequest?: (request: CaptureRequest) => void;
}

/** What of a program that runs is asked about. */
type Asked = Pick<Execution, "facts" | "tree"> & { readonly process: Pick<Execution["process"], "lineage"> };

/** What a baseline in force was read from. */
interface BaselineSources {
  /** Digest of the host's own file; undefined if there was none. */
  readonly host: string | undefined;
  readonly ofRoles: readonly RoleBaseline[];
}

/** Something that ran in a container whose image was not known yet. */
interface Early {
  readonly container: string;
  readonly lineage: Lineage<Runnable>;
  readonly facts: ProcessFacts;
  readonly second: number;
}

/** What is kept until the image is known; of more, the learning knows that something is missing. */
const MOST_EARLY = 1024;

const nothing: Knowledge = {};
const ROOT = 0;
/** A baseline of 100,000 trees is some 14 MB. */
const FILE_LIMIT = 256 << 20;

export class BaselineService {
  private readonly inputs: BaselineServiceInputs;
  private readonly known = new KnownTrees(undefined, new Exclusions([], compileTreeGlob));
  private learning: Learning;
  private ofRoles: readonly RoleBaseline[];
  /** What the baseline in force was read from. */
  private sources: BaselineSources = { host: undefined, ofRoles: [] };
  /** The file that the exclusions in force were read from; empty if there was none. */
  private exclusionsFile = "";
  private savedState = "";
  private savedRoles: string;
  /** The last attempt failed, and that was told. */
  private cannotSave = false;
  /** Seconds since 1970 at which the next exclusion ends; undefined: none does. */
  private exclusionEnd: number | undefined;
  private early: Early[] = [];

  constructor(inputs: BaselineServiceInputs) {
    this.inputs = inputs;
    const saved = readCheckedFileOrNothing(join(inputs.stateDirectory, LEARNING_STATE), rootOnly(FILE_LIMIT));
    const state = saved === undefined ? undefined : parseState(saved.toString("utf8"));
    this.learning = this.newLearning(state ?? startWatching(inputs.now()));
    this.ofRoles = inputs.ofRoles;
    this.savedRoles =
      readCheckedFileOrNothing(join(inputs.stateDirectory, OF_ROLES), rootOnly(FILE_LIMIT))?.toString(
        "utf8",
      ) ?? shippedList([]);
    this.reload();
  }

  /**
   * What the baseline knows of a program that ran at `second` (since 1970-01-01T00:00:00Z). Side effect: the program is
   * recorded while learning, and also afterwards if it is not known.
   */
  lookUp(exec: Asked, second: number): Knowledge {
    const { process, facts, tree } = exec;
    const { lineage } = process;
    const { container } = lineage;
    const { isLearning } = this;
    if (this.known.baseline === undefined && !isLearning) return nothing;
    const image = container === null ? null : this.inputs.imageOf(container);
    const { knowledge, scope, state } = this.known.lookUp({ lineage, facts, tree }, image, second);
    if (state === "pending" && container !== null) this.wait({ container, lineage, facts, second });
    else if (state === "answered" && (isLearning || knowledge.known === false))
      this.learning.observe(lineage, scope, facts.args, second, facts);
    return knowledge;
  }

  /** Every tree is collected. */
  get isLearning(): boolean {
    return this.learning.state.phase === "learning";
  }

  /** Collects what runs already. */
  observe(lineage: Lineage<Runnable>, facts: ProcessFacts): void {
    const { container } = lineage;
    const second = this.inputs.now();
    const image = container === null ? null : this.inputs.imageOf(container);
    if (container !== null && image === undefined) {
      this.wait({ container, lineage, facts, second });
      return;
    }
    const scope = this.known.scopeOf(facts, container, image);
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
      const exec = { lineage, facts, tree: treeOf(lineage) };
      const { knowledge, scope, state } = this.known.lookUp(exec, image, second);
      if (state === "answered" && (this.isLearning || knowledge.known === false))
        this.learning.observe(lineage, scope, facts.args, second, facts);
    }
  }

  /** The examiner has looked at the file that was run under `path`. */
  examined(path: string, examined: ExaminedFile): void {
    this.learning.examined(path, examined);
  }

  /** The folded tree is in the baseline: its series stay. */
  isFamiliar(tree: Tree): boolean {
    return this.known.baseline?.isFamiliar(tree) ?? false;
  }

  /** Nanoseconds from `wallNow` (ns since 1970) until the next exclusion ends; undefined: none does. */
  exclusionEndsIn(wallNow: number): number | undefined {
    return this.exclusionEnd === undefined ? undefined : Math.max(0, this.exclusionEnd * 1e9 - wallNow);
  }

  /** What an exclusion that has ended by `wallNow` (ns since 1970) hid is decided about anew. */
  endExclusions(wallNow: number): void {
    if (this.exclusionEndsIn(wallNow) !== 0) return;
    this.exclusionEnd = this.known.exclusions.nextEnd(wallNow / 1e9);
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

  /** Tells what was learned as far as there is room, and ends a learning whose time is over. */
  reportLearned(): void {
    this.takeEarly();
    const { state } = this.learning;
    this.learning.state = atTime(state, this.inputs.now());
    if (this.learning.state.phase !== state.phase) this.tellPhase();
    const origin = { "baseline.started": this.learning.state.started };
    const tell = (event: string, fields: EventRecord): boolean => {
      if (!this.inputs.hasRoom()) return false;
      this.inputs.recordChange(event, { ...fields, ...origin });
      return true;
    };
    this.learning.report({
      candidate: (candidate) => tell(learnedEvent, learnedFields(candidate)),
      counts: (counts) => tell(countedEvent, countedFields(counts)),
      looked: (looked) => tell(lookedEvent, lookedFields(looked)),
    });
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
    const own = readCheckedFileOrNothing(path, rootOnly(FILE_LIMIT));
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
    this.sources = { host: own === undefined ? undefined : digestOf(own), ofRoles };
    if (own === undefined && ofRoles.length === 0) {
      this.known.baseline = undefined;
      this.inputs.epoch.raise("baseline");
      return;
    }
    const trees = read.size;
    for (const entry of this.inputs.own ?? []) read.add(entry);
    this.known.baseline = read;
    this.inputs.epoch.raise("baseline");
    // Reading left many times its size behind.
    Bun.gc(true);
    const files = ofRoles.map(({ file, digest }) => `${file} ${digest}`);
    this.inputs.recordChange("baseline.loaded", {
      "baseline.trees": trees,
      ...(files.length === 0 ? {} : { "baseline.files": files }),
    });
  }

  /** The exclusions in force, as their file has them; empty if there is none. */
  exclusionsInForce(): string {
    return this.exclusionsFile;
  }

  /**
   * The baselines in force as texts of a capture, and last the list of their names. undefined if the host's file is
   * not the one that was read, and cannot be read instead.
   */
  baselinesInForce(): readonly NamedText[] | undefined {
    const host = this.readHostFile() ?? this.readHostFileAgain();
    if (host === undefined) return undefined;
    const texts: NamedText[] = [];
    if (host !== null) texts.push({ name: baselineTexts.host, text: host });
    for (const [i, { bytes }] of this.sources.ofRoles.entries())
      texts.push({ name: baselineTexts.ofRole(i), text: new TextDecoder().decode(bytes) });
    const { own = [] } = this.inputs;
    if (texts.length > 0 && own.length > 0) texts.push({ name: baselineTexts.own, text: ownBaseline(own) });
    const names = texts.map(({ name }) => name);
    return [...texts, { name: captureTexts.baselinesInForce, text: JSON.stringify(names) }];
  }

  /** The host's own baseline as it was read; null if there was none; undefined if the file is another one by now. */
  private readHostFile(): string | null | undefined {
    const { host } = this.sources;
    const bytes = readCheckedFileOrNothing(join(this.inputs.stateDirectory, IN_FORCE), rootOnly(FILE_LIMIT));
    if (bytes === undefined) return host === undefined ? null : undefined;
    return digestOf(bytes) === host ? bytes.toString("utf8") : undefined;
  }

  private readHostFileAgain(): string | null | undefined {
    this.reload();
    return this.readHostFile();
  }

  private newLearning(state: ReturnType<typeof startWatching>): Learning {
    return new Learning({
      state,
      redact: (args) => redactArguments(args),
      look: (facts) => this.inputs.look(facts),
    });
  }

  private reloadExclusions(): void {
    const bytes = readCheckedFileOrNothing(
      join(this.inputs.stateDirectory, EXCLUSIONS),
      rootOnly(FILE_LIMIT),
    );
    const result = bytes === undefined ? undefined : parseExclusions(bytes.toString("utf8"), compileTreeGlob);
    if (result?.ok === false) {
      this.tellRejected(EXCLUSIONS, result.errors);
      return;
    }
    this.exclusionsFile = bytes?.toString("utf8") ?? "";
    this.known.exclusions = new Exclusions(result?.value ?? [], compileTreeGlob);
    this.exclusionEnd = this.known.exclusions.nextEnd(this.inputs.now());
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
      case "record":
      case "stop-recording":
        this.inputs.onCaptureRequest?.(request);
        return;
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

/** What treewarden starts itself, as a file. */
function ownBaseline(entries: readonly BaselineEntry[]): string {
  const header = { role: undefined, hosts: [], created: 0, learnedFrom: 0, learnedTo: 0 };
  return formatBaseline({ header, entries: mergeEntries([entries], false) });
}

/** The requests in the folder, in the order they were made; each is taken once. */
function takeRequests(folder: string): WardenRequest[] {
  const taken: WardenRequest[] = [];
  try {
    const { uid, mode } = lstatSync(folder);
    if ((mode & constants.S_IFMT) !== constants.S_IFDIR || uid !== ROOT || (mode & 0o077) !== 0) return taken;
    const names = readdirSync(folder).filter(isRequestName).sort().slice(0, REQUESTS_LIMIT);
    for (const name of names) {
      const bytes = readCheckedFileOrNothing(join(folder, name), rootOnly(REQUEST_FILE_LIMIT));
      unlinkSync(join(folder, name));
      const request = bytes === undefined ? undefined : parseWardenRequest(bytes);
      if (request !== undefined) taken.push(request);
    }
  } catch {
    // No folder: nobody has asked for anything yet.
  }
  return taken;
}
