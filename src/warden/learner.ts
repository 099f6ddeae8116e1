// Collects the trees of what runs, for root to accept. What is learned is reported and decides nothing.

import { join } from "node:path";
import type { Knowledge } from "../baseline/baseline.ts";
import type { Destination } from "../baseline/destination.ts";
import { LEARNING_KEY, LEARNING_STATE } from "../baseline/file-names.ts";
import type { SealedUpdate } from "../baseline/learned.ts";
import { sealUpdate } from "../baseline/learned-seal.ts";
import { Learning } from "../baseline/learning.ts";
import {
  afterLoss,
  afterRepair,
  afterRestart,
  atTime,
  formatState,
  type LearningState,
  parseState,
  secondsLeft,
  seenWhole,
  startLearning,
  startWatching,
  stopLearning,
} from "../baseline/learning-state.ts";
import type { FoundContent } from "../baseline/seen-contents.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { identifyRunning } from "../fingerprint/title.ts";
import { treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { ProcessFacts, ScannedProcess } from "../sensor/event.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { WriteFile } from "./atomic-file-writer.ts";
import type { KnowableExec, KnownTrees } from "./known-trees.ts";
import { MainPrograms } from "./main-programs.ts";
import { newSecretKey, readSecretKey } from "./secret-key.ts";

export interface LearnerInputs {
  /** Names what a process runs. */
  readonly identify: (facts: ProcessFacts) => Runnable;
  /** Removes secrets from the arguments that are kept as a sample. */
  readonly redact: (args: readonly string[]) => readonly string[];
  readonly stateDirectory: string;
  readonly knownTrees: KnownTrees;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  /** The warden in the seals of what is learned, see `wardenOrigin`. */
  readonly origin: string;
  /** Sends a report of what is learned. Returns false if there is no room now; it is then offered again later. */
  readonly reportLearned: (update: SealedUpdate) => boolean;
  /** The number of trees that `reportLearned` has sent and the reporter has not confirmed to be in the journal yet. */
  readonly unconfirmedTrees: () => number;
  readonly writeFile: WriteFile;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly now: () => number;
  /** Default: HOLD_SECONDS. */
  readonly holdSeconds?: number;
  /** What the examiner knows of a file of the host's, with its digest; it is asked if it does not know. */
  readonly look: (facts: ProcessFacts) => ExaminedFile | undefined;
}

/** A process as a scan of /proc shows it, with its lineage. */
export interface RunningProgram {
  readonly lineage: Lineage;
  readonly facts: ProcessFacts;
}

/** A program that ran in a container whose image was not known yet. */
interface Pending extends RunningProgram {
  readonly second: number;
}

/** Programs that wait for the image of their container; more are counted as missed. */
const PENDING_LIMIT = 1024;
/**
 * A loss becomes known up to 1.5 seconds after it happened, and trees have times in whole seconds. Trees that were first
 * seen later than this before a loss are not learned.
 */
const HOLD_SECONDS = 3;
/** The state is less than 1 KiB. */
const STATE_LIMIT = 1 << 16;

export class Learner {
  private readonly inputs: LearnerInputs;
  private readonly mainPrograms = new MainPrograms();
  private learning: Learning;
  private pending: Pending[] = [];
  private savedState = "";
  /** See `LearningState.inTransit`, in the file. */
  private savedInTransit = 0;
  /** The last attempt to save failed, and that was reported. */
  private cannotSave = false;
  /** The key of the seals; undefined until something is reported. */
  private key: Uint8Array | undefined;

  constructor(inputs: LearnerInputs) {
    this.inputs = inputs;
    const path = join(inputs.stateDirectory, LEARNING_STATE);
    const saved = readCheckedFileOrNothing(path, stateFile(STATE_LIMIT));
    const state = saved && parseState(saved.toString("utf8"));
    this.learning = this.learningFrom(
      state === undefined ? startWatching(inputs.now(), randomId()) : afterRestart(state),
    );
  }

  /** Every tree is collected, not only those that the baseline does not know. */
  get isLearning(): boolean {
    return this.learning.state.phase === "learning";
  }

  /** Takes notice of an exec; `knowledge`: what `KnownTrees.lookUp` has answered for it. */
  onExec({ process: { lineage }, facts, tree }: KnowableExec, knowledge: Knowledge): void {
    const { knownTrees, now } = this.inputs;
    const isKnown = knowledge.known === true && lineage.container === null;
    if (!this.isLearning && (isKnown || !knownTrees.hasBaseline)) return;
    const scope = knownTrees.scopeOf(lineage, facts);
    if (scope === "pending") this.wait({ lineage, facts, second: now() });
    else {
      const current = this.isLearning ? knownTrees.compare(lineage, tree, scope) : knowledge;
      this.collect({ lineage, facts, second: now() }, scope, current);
    }
  }

  /**
   * Takes notice of a connection or a first datagram; `isKnown`: what `KnownTrees.knowsDestination` has answered for it.
   * In a container whose image is not known yet it is left out: the process will do it again.
   */
  onDestination(
    { process: { lineage }, facts }: KnowableExec,
    destination: Destination,
    isKnown: boolean | null | undefined,
  ): void {
    const { knownTrees, now } = this.inputs;
    if (!this.isLearning && isKnown !== false) return;
    const scope = knownTrees.scopeOf(lineage, facts);
    if (scope === "pending") return;
    const change = knownTrees.windowOf({ lineage, facts }) ?? null;
    this.learning.observeDestination(lineage, scope, now(), facts, destination, change);
  }

  /** Collects what a learning run learns, or what is unknown, unless an exclusion hides it (`knowledge`: undefined). */
  private collect(
    { lineage, facts, second }: RunningProgram & { readonly second: number },
    scope: string | undefined,
    knowledge: Knowledge | undefined,
  ): void {
    if (knowledge === undefined) return;
    const window = windowIn(knowledge);
    if (!this.isLearning && knowledge.known !== false && window === null) return;
    // A learning run learns what package managers start, as it learns everything. What is in a window is kept apart.
    const change = this.isLearning ? window : (knowledge.change ?? null);
    this.learning.observe(lineage, scope, facts.args, second, facts, change);
  }

  /** Takes notice of all processes that are running, so that the main program of each service is known. */
  onScan(processes: readonly Pick<ScannedProcess, "facts">[]): void {
    this.mainPrograms.clear();
    for (const { facts } of processes) {
      const program = identifyRunning(this.inputs.identify, facts, undefined);
      this.mainPrograms.onRunning(program, facts);
    }
  }

  /** Collects the programs that were running before the learning began: all of them, as `onScan` does. */
  onRunning(running: readonly RunningProgram[]): void {
    const second = this.inputs.now();
    this.onScan(running);
    for (const { lineage, facts } of running) {
      const scope = this.inputs.knownTrees.scopeOf(lineage, facts);
      if (scope === "pending") this.wait({ lineage, facts, second });
      else {
        const window = windowIn(this.inputs.knownTrees.compare(lineage, treeOf(lineage), scope));
        this.learning.observe(lineage, scope, facts.args, second, facts, window);
      }
    }
  }

  private wait(pending: Pending): void {
    if (this.pending.length < PENDING_LIMIT) this.pending.push(pending);
    else this.learning.miss();
  }

  /** Collects what waited for the image of its container, once that is known. */
  private takePending(): void {
    const { knownTrees } = this.inputs;
    const waiting = this.pending;
    this.pending = [];
    for (const pending of waiting) {
      const { lineage, facts, second } = pending;
      const scope = knownTrees.scopeOf(lineage, facts);
      if (scope === "pending") {
        this.pending.push(pending);
        continue;
      }
      this.collect({ lineage, facts, second }, scope, knownTrees.compare(lineage, treeOf(lineage), scope));
    }
  }

  /** The examiner has looked at the file that was run under `path`. */
  onExamined(path: string, examined: ExaminedFile): void {
    this.learning.examined(path, examined);
  }

  /** Whether the content of the file at `path` (`contentPath`) is to be looked at. */
  wantsContent(path: string): boolean {
    return this.learning.wantsContent(path);
  }

  /** The file at `path` of the host was read. */
  onContent(path: string, content: FoundContent): void {
    this.learning.foundContent(path, content);
  }

  /** A known program ran with a content that nobody has accepted: it is proposed like an unknown tree. */
  onChanged(program: RunningProgram, content: string): void {
    if (this.isLearning) return;
    const { knownTrees, now } = this.inputs;
    const { lineage, facts } = program;
    const scope = knownTrees.scopeOf(lineage, facts);
    const change = knownTrees.windowOf(program) ?? null;
    if (scope !== "pending") this.learning.observeContent(lineage, scope, now(), facts, content, change);
  }

  /** Events were lost. What was found shortly before may not have been seen whole either. */
  onLoss(): void {
    const second = this.inputs.now();
    this.learning.dropAfter(second - this.holdSeconds);
    this.learning.state = afterLoss(this.learning.state, second);
  }

  /** A scan has made up for all events that were lost. */
  onRepaired(): void {
    this.learning.state = afterRepair(this.learning.state, this.inputs.now());
  }

  /** Begins to learn for so many `seconds`; null: until `stop`. What was collected before is forgotten. */
  start(seconds: number | null): void {
    this.learning = this.learningFrom(startLearning(this.inputs.now(), seconds, randomId()));
    this.reportPhase();
    this.save();
  }

  /** Ends the learning run, if one is under way. Its state is written before anything that is written after this call. */
  stop(): void {
    if (!this.isLearning) return;
    // The state counts every tree that was found, and `accept` compares it with those that have arrived.
    this.reportAll();
    this.learning.state = stopLearning(this.learning.state, this.inputs.now());
    this.reportPhase();
    this.save();
  }

  /** Seconds until a learning ends by itself; undefined if it does not. */
  secondsLeft(): number | undefined {
    // A learning that has missed something never ends by itself.
    if (!this.isLearning || this.learning.state.missed > 0) return undefined;
    return secondsLeft(this.learning.state, this.inputs.now());
  }

  /**
   * Something waits to be reported or saved, or trees have reached the journal of which the saved state does not know that.
   */
  get hasReports(): boolean {
    return (
      this.cannotSave ||
      this.pending.length > 0 ||
      this.learning.hasReports ||
      this.inTransit < this.savedInTransit
    );
  }

  private get inTransit(): number {
    return this.learning.unreported + this.inputs.unconfirmedTrees();
  }

  /**
   * Reports what was learned as far as there is room, and ends a learning whose time is over. A tree is held back for
   * as long as a loss of events at its time may still become known.
   */
  report(): void {
    this.reportUntil(this.inputs.now() - this.holdSeconds);
  }

  /** Reports also what was found just now: there is no later report. */
  reportAll(): void {
    this.reportUntil(Number.POSITIVE_INFINITY);
  }

  private get holdSeconds(): number {
    return this.inputs.holdSeconds ?? HOLD_SECONDS;
  }

  private reportUntil(second: number): void {
    this.takePending();
    const { state } = this.learning;
    this.learning.state = atTime(state, this.inputs.now());
    const isOver = this.learning.state.phase !== state.phase;
    if (isOver) this.reportPhase();
    if (this.learning.hasReports) this.reportTrees(isOver ? Number.POSITIVE_INFINITY : second);
    this.save();
  }

  private reportTrees(until: number): void {
    const { origin, reportLearned } = this.inputs;
    const { id, started } = this.learning.state;
    const key = this.sealKey();
    const from = { learning: id, warden: origin, started };
    this.learning.report((update) => reportLearned(sealUpdate(update, key, from)), until);
  }

  private sealKey(): Uint8Array {
    if (this.key !== undefined) return this.key;
    const { stateDirectory, writeFile, recordChange } = this.inputs;
    const saved = readSecretKey(stateDirectory, LEARNING_KEY);
    if (saved instanceof Uint8Array) this.key = saved;
    else {
      const { key, path, text } = newSecretKey(stateDirectory, LEARNING_KEY);
      this.key = key;
      // With a key that is not on the disk nothing that is learned can be accepted: it must be learned again.
      writeFile(path, text, (error) => {
        this.key = undefined;
        recordChange("baseline.not_saved", { "error.message": String(error) });
      });
    }
    return this.key;
  }

  private learningFrom(state: LearningState): Learning {
    return new Learning({
      state,
      redact: this.inputs.redact,
      look: this.inputs.look,
      isFromMain: (lineage, facts) => this.mainPrograms.isFromMain(lineage, facts),
    });
  }

  private reportPhase(): void {
    const { state } = this.learning;
    this.inputs.recordChange(`baseline.${state.phase}`, {
      "baseline.trees": state.trees,
      "baseline.losses": state.losses,
      "baseline.seen_whole": seenWhole(state, this.inputs.now()),
    });
  }

  private save(): void {
    const { inTransit } = this;
    const text = formatState({ ...this.learning.state, inTransit });
    if (text === this.savedState) return;
    const hasFailedBefore = this.cannotSave;
    this.savedState = text;
    this.savedInTransit = inTransit;
    this.cannotSave = false;
    this.inputs.writeFile(join(this.inputs.stateDirectory, LEARNING_STATE), text, (error) => {
      // A full disk must not end the warden. The next report tries again.
      this.savedState = "";
      this.cannotSave = true;
      if (!hasFailedBefore)
        this.inputs.recordChange("baseline.not_saved", { "error.message": String(error) });
    });
  }
}

/** The change in whose open window an unknown tree is; null for none. */
function windowIn(knowledge: Knowledge | undefined): string | null {
  return knowledge?.known === undefined ? (knowledge?.change ?? null) : null;
}

/** 128 bits. */
function randomId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
}
