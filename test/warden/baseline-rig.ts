// The warden's parts that know and learn trees, on a state directory of their own.

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import { IN_FORCE } from "../../src/baseline/file-names.ts";
import type { SealedUpdate } from "../../src/baseline/learned.ts";
import {
  answerName,
  formatWardenRequest,
  REQUEST_FOLDER,
  requestName,
  type WardenRequest,
} from "../../src/baseline/warden-request.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import type { RoleBaseline } from "../../src/policy/role-baseline.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { redactArguments } from "../../src/report/redaction/arguments.ts";
import { allSteps, type Steps } from "../../src/vocabulary/steps.ts";
import { type WriteFile, writeNow } from "../../src/warden/atomic-file-writer.ts";
import { Epoch } from "../../src/warden/epoch.ts";
import { KnownTrees, type KnownTreesInputs } from "../../src/warden/known-trees.ts";
import { Learner } from "../../src/warden/learner.ts";
import { parseWardenAnswer, type WardenAnswer } from "../../src/warden/warden-answer.ts";
import { WardenRequests } from "../../src/warden/warden-requests.ts";
import { entry, NOON } from "../baseline/samples.ts";

export interface RigOptions {
  readonly ofRoles?: readonly RoleBaseline[];
  readonly imageOf?: (container: string) => string | null | undefined;
  /** Trees of the baseline in force at the start; undefined: there is none. */
  readonly inForce?: readonly string[];
  /** The file of the baseline in force is damaged. */
  readonly broken?: boolean;
  /** Default: `writeNow`. */
  readonly writeFile?: WriteFile;
  /** The warden is restarted: it has the state directory and the time of this rig, which must not be used any more. */
  readonly after?: BaselineRig;
}

/** The boot, and CLOCK_BOOTTIME in seconds when the rig begins. */
export const BOOT = "01234567-89ab-cdef-0123-456789abcdef";
export const UPTIME = 7_200;

export class BaselineRig implements Disposable {
  readonly directory: string;
  readonly epoch = new Epoch();
  /** Seconds that have passed, by both clocks. */
  passed = 0;
  /** By how many seconds the time of day was set forward. */
  clockSet = 0;
  /** What was reported, oldest first. */
  readonly changes: { readonly event: string; readonly details: EventRecord }[];
  /** What was reported as learned. */
  readonly learned: SealedUpdate[] = [];
  /** How many trees of it have not reached the journal. */
  unconfirmedTrees = 0;
  readonly knownTrees: KnownTrees;
  readonly learner: Learner;
  readonly requests: WardenRequests;

  constructor({
    ofRoles = [],
    imageOf = () => null,
    inForce,
    broken = false,
    writeFile = writeNow,
    after,
  }: RigOptions = {}) {
    this.directory = after?.directory ?? mkdtempSync(join(tmpdir(), "baseline-rig-"));
    this.changes = after?.changes ?? [];
    this.passed = after?.passed ?? 0;
    if (inForce !== undefined) this.putInForce(...inForce);
    if (broken) appendFileSync(this.path(IN_FORCE), "broken\n");
    const inputs: KnownTreesInputs = {
      stateDirectory: this.directory,
      ofRoles,
      recordChange: (event, details) => this.changes.push({ event, details }),
      writeFile,
      epoch: this.epoch,
      now: () => Math.floor(NOON + this.passed + this.clockSet),
      moment: () => ({
        wall: NOON + this.passed + this.clockSet,
        boot: BOOT,
        boottime: UPTIME + this.passed,
      }),
      imageOf,
    };
    this.knownTrees = new KnownTrees(inputs);
    this.learner = new Learner({
      ...inputs,
      identify,
      redact: redactArguments,
      holdSeconds: 0,
      knownTrees: this.knownTrees,
      origin: "run:1",
      reportLearned: (update) => this.learned.push(update) > 0,
      unconfirmedTrees: () => this.unconfirmedTrees,
      look: () => undefined,
    });
    const capture = { start: () => undefined, stop: () => undefined };
    const atOnce = { add: (_: string, work: () => Steps<void>) => allSteps(work()) };
    this.requests = new WardenRequests({
      stateDirectory: this.directory,
      learner: this.learner,
      knownTrees: this.knownTrees,
      capture,
      work: atOnce,
      writeFile,
      reloadOverrides: () => [],
      reload: () => undefined,
      closedTexts: () => [],
      stopped: { carryOut: () => ({ problem: "nothing is stopped", count: 0 }) },
      status: () => {
        throw new Error("nobody asks");
      },
      epoch: () => this.epoch.current,
    });
  }

  /** The number of reports of `event`. */
  count(event: string): number {
    return this.changes.filter((change) => change.event === event).length;
  }

  path(file: string): string {
    const path = join(this.directory, file);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  }

  write(file: string, text: string): void {
    writeFileSync(this.path(file), text, { mode: 0o600 });
  }

  putInForce(...trees: readonly string[]): void {
    this.write(IN_FORCE, baselineOf(...trees));
  }

  private get answerPath(): string {
    return this.path(join(REQUEST_FOLDER, answerName(requestName(1, 1))));
  }

  /** Whether there is an answer to a request. */
  hasAnswered(): boolean {
    return existsSync(this.answerPath);
  }

  /** The warden's answer to the last request. */
  answer(): WardenAnswer | undefined {
    return parseWardenAnswer(readFileSync(this.answerPath, "utf8"));
  }

  /** What a command of root's leaves behind, and the warden's answer to it. */
  request(request: WardenRequest): boolean {
    const folder = join(this.directory, REQUEST_FOLDER);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, requestName(1, 1)), formatWardenRequest(request), { mode: 0o600 });
    return this.requests.handle();
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The text of a baseline of these trees. */
export function baselineOf(...trees: readonly string[]): string {
  const header = { role: undefined, hosts: ["a"], created: NOON, learnedFrom: NOON, learnedTo: NOON };
  return formatBaseline({ header, entries: trees.map((tree) => entry(tree)) });
}
