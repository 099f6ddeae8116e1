// The requests that root's commands leave for the warden, one file each, in a folder that only root can enter.
import { lstatSync, readdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import {
  isRequestName,
  parseWardenRequest,
  REQUEST_FILE_LIMIT,
  REQUEST_FOLDER,
  REQUESTS_LIMIT,
  type WardenRequest,
} from "../baseline/warden-request.ts";
import { monotonicNow } from "../linux/clock.ts";
import { OPEN_TO_OTHERS, ROOT_UID, readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { KnownTrees } from "./known-trees.ts";
import type { Learner } from "./learner.ts";
import type { SlicedWork } from "./sliced-work.ts";
import type { WardenCapture } from "./warden-capture.ts";

export class WardenRequests {
  private readonly folder: string;
  private readonly learner: Learner;
  private readonly knownTrees: KnownTrees;
  private readonly capture: Pick<WardenCapture, "start" | "stop">;
  private readonly work: Pick<SlicedWork, "add">;

  constructor(
    stateDirectory: string,
    learner: Learner,
    knownTrees: KnownTrees,
    capture: Pick<WardenCapture, "start" | "stop">,
    work: Pick<SlicedWork, "add">,
  ) {
    this.folder = join(stateDirectory, REQUEST_FOLDER);
    this.learner = learner;
    this.knownTrees = knownTrees;
    this.capture = capture;
    this.work = work;
  }

  /** Reads what commands have left and carries it out; true if a learning has begun. */
  handle(): boolean {
    let hasBegun = false;
    for (const request of takeRequests(this.folder)) {
      this.carryOut(request);
      hasBegun ||= request.kind === "learn";
    }
    return hasBegun && this.learner.isLearning;
  }

  private carryOut(request: WardenRequest): void {
    switch (request.kind) {
      case "learn":
        this.learner.start(request.seconds);
        break;
      case "stop-learning":
        this.learner.stop();
        break;
      case "reload-baseline":
        this.work.add("baseline", () => this.knownTrees.reloading());
        break;
      case "end-change":
        // Before the change is reported as ended: then what it has collected is on its way.
        this.learner.reportAll();
        this.work.add("baseline", () => this.knownTrees.reloading());
        break;
      case "record":
        this.capture.start(request.pipe, request.redact, monotonicNow());
        break;
      case "stop-recording":
        this.capture.stop(request.pipe);
        break;
    }
  }
}

/** The requests in the folder, oldest first; each is taken once. */
function takeRequests(folder: string): WardenRequest[] {
  const requests: WardenRequest[] = [];
  try {
    const found = lstatSync(folder);
    if (!found.isDirectory() || found.uid !== ROOT_UID || (found.mode & OPEN_TO_OTHERS) !== 0)
      return requests;
    const names = readdirSync(folder).filter(isRequestName).sort().slice(0, REQUESTS_LIMIT);
    for (const name of names) {
      const bytes = readCheckedFileOrNothing(join(folder, name), stateFile(REQUEST_FILE_LIMIT));
      unlinkSync(join(folder, name));
      const request = bytes && parseWardenRequest(bytes);
      if (request !== undefined) requests.push(request);
    }
  } catch {
    // No command has made the folder yet.
  }
  return requests;
}
