// The requests that root's commands leave for the warden, one file each, in a folder that only root can enter.
import { lstatSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import {
  answerName,
  formatWardenRequest,
  isAbandonedAnswer,
  isRequestName,
  parseWardenRequest,
  REQUEST_FILE_LIMIT,
  REQUEST_FOLDER,
  REQUESTS_LIMIT,
  type WardenRequest,
} from "../baseline/warden-request.ts";
import { monotonicNow } from "../linux/clock.ts";
import { OPEN_TO_OTHERS, ROOT_UID, readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { type WriteFile, writeNow } from "./atomic-file-writer.ts";
import type { KnownTrees } from "./known-trees.ts";
import type { Learner } from "./learner.ts";
import type { SlicedWork } from "./sliced-work.ts";
import type { StoppedWatch } from "./stopped-watch.ts";
import { formatWardenAnswer, type WardenAnswer } from "./warden-answer.ts";
import type { WardenCapture } from "./warden-capture.ts";
import type { WardenStatus } from "./warden-status.ts";

/** A command waits at most 45 s for its answer. */
const ABANDONED_S = 120;

export interface WardenRequestsInputs {
  readonly stateDirectory: string;
  readonly learner: Pick<Learner, "start" | "stop" | "isLearning" | "reportAll">;
  readonly knownTrees: Pick<KnownTrees, "reloading" | "reloadExclusions">;
  readonly capture: Pick<WardenCapture, "start" | "stop">;
  readonly work: Pick<SlicedWork, "add">;
  readonly writeFile: WriteFile;
  /** Reads the orders of root's commands again and puts them into force; returns what is wrong with their files. */
  readonly reloadOverrides: () => readonly string[];
  /** Begins to read configuration and policies again; the request of this name is answered later. */
  readonly reload: (name: string) => void;
  readonly status: () => WardenStatus;
  /** What a process may execute, in words; empty where nothing is prevented. */
  readonly closedTexts: (pid: number) => readonly string[];
  readonly stopped: Pick<StoppedWatch, "carryOut">;
  /** The number of the current epoch. */
  readonly epoch: () => number;
}

export class WardenRequests {
  private readonly inputs: WardenRequestsInputs;
  private readonly folder: string;

  constructor(inputs: WardenRequestsInputs) {
    this.inputs = inputs;
    this.folder = join(inputs.stateDirectory, REQUEST_FOLDER);
  }

  /** Reads what commands have left and carries it out; true if a learning has begun. */
  handle(): boolean {
    let hasBegun = false;
    for (const { name, request } of takeRequests(this.folder)) {
      this.carryOut(name, request);
      hasBegun ||= request.kind === "learn";
    }
    return hasBegun && this.inputs.learner.isLearning;
  }

  private carryOut(name: string, request: WardenRequest): void {
    const { learner, knownTrees, capture, work, reloadOverrides } = this.inputs;
    switch (request.kind) {
      case "learn":
        learner.start(request.seconds);
        break;
      case "stop-learning":
        learner.stop();
        // Files are written in their order, so that the command finds the state of the ended run.
        this.answer(name, {});
        break;
      case "reload-baseline":
        work.add(`baseline ${name}`, () => this.reloadingBaseline(name));
        break;
      case "reload-overrides":
        this.answerAfterWork(name, { problems: reloadOverrides() });
        break;
      case "reload":
        this.inputs.reload(name);
        break;
      case "reload-changes":
        // First, so that what a change has collected is on its way when the command gets its answer.
        learner.reportAll();
        this.answerAfterWork(name, { problems: knownTrees.reloadExclusions() });
        break;
      case "closed":
        this.answer(name, { notes: [...this.inputs.closedTexts(request.pid)] });
        break;
      case "status":
        this.answer(name, { status: this.inputs.status() });
        break;
      case "release":
      case "kill": {
        const { problem, count } = this.inputs.stopped.carryOut(request);
        const what = `${request.kind === "kill" ? "killed" : "released"} ${count} ${count === 1 ? "process" : "processes"}`;
        this.answer(name, problem === undefined ? { notes: [what] } : { problems: [problem] });
        break;
      }
      case "record":
        capture.start(request.pipe, request.redact, monotonicNow());
        break;
      case "stop-recording":
        capture.stop(request.pipe);
        break;
    }
  }

  private *reloadingBaseline(name: string): Steps<void> {
    const problems = yield* this.inputs.knownTrees.reloading();
    this.answerAfterWork(name, { problems });
  }

  /** Leaves a request of this name for the next warden, which has the rights to carry it out. */
  handOver(name: string, request: WardenRequest): void {
    writeNow(join(this.folder, name), formatWardenRequest(request), () => undefined);
  }

  /** Answers once the kernel has what follows from the change. */
  answerAfterWork(name: string, answer: Partial<Omit<WardenAnswer, "epoch">>): void {
    this.inputs.work.add(`answer ${name}`, () => this.answering(name, answer));
  }

  private *answering(name: string, answer: Partial<Omit<WardenAnswer, "epoch">>): Steps<void> {
    this.answer(name, answer);
    yield;
  }

  /** Answers a request. An answer that cannot be written is none: the command says so after a while. */
  answer(name: string, answer: Partial<Omit<WardenAnswer, "epoch">>): void {
    const { writeFile, epoch } = this.inputs;
    const text = formatWardenAnswer({ problems: [], notes: [], status: null, ...answer, epoch: epoch() });
    writeFile(join(this.folder, answerName(name)), text, () => undefined);
  }
}

interface TakenRequest {
  readonly name: string;
  readonly request: WardenRequest;
}

/** The requests in the folder, oldest first; each is taken once. */
function takeRequests(folder: string): TakenRequest[] {
  const requests: TakenRequest[] = [];
  try {
    const found = lstatSync(folder);
    if (!found.isDirectory() || found.uid !== ROOT_UID || (found.mode & OPEN_TO_OTHERS) !== 0)
      return requests;
    const all = readdirSync(folder);
    const names = all.filter(isRequestName).sort().slice(0, REQUESTS_LIMIT);
    for (const name of names) {
      const bytes = readCheckedFileOrNothing(join(folder, name), stateFile(REQUEST_FILE_LIMIT));
      unlinkSync(join(folder, name));
      const request = bytes && parseWardenRequest(bytes);
      if (request !== undefined) requests.push({ name, request });
    }
    for (const name of all)
      if (isAbandonedAnswer(name, Date.now(), ABANDONED_S)) unlinkSync(join(folder, name));
  } catch {
    // No command has made the folder yet.
  }
  return requests;
}
