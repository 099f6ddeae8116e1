// Asking a running treewarden for something: a file in a folder that only root writes, and a signal.
import { closeSync, constants, openSync, readFileSync, rmSync } from "node:fs";
import { constants as os } from "node:os";
import { join } from "node:path";
import {
  answerName,
  formatWardenRequest,
  REQUEST_FOLDER,
  requestName,
  type WardenRequest,
} from "../baseline/warden-request.ts";
import { tryLock } from "../linux/flock.ts";
import { pidfdOpen } from "../linux/pidfd.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import { codeOf } from "../linux/system-error.ts";
import { distrust } from "../supervisor/state-directory.ts";
import { ANSWER_LIMIT, parseWardenAnswer, type WardenAnswer } from "../warden/warden-answer.ts";
import { writeWhole } from "./baseline/store.ts";
import { CommandError, exitCodes, hint } from "./output.ts";

/** The process that holds the state directory; undefined if none does. */
function holderOf(stateDirectory: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(join(stateDirectory, "lock"), constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new CommandError(
      exitCodes.notAllowed,
      `cannot look at ${stateDirectory}/lock: ${String(error)}`,
      "run it with sudo",
    );
  }
  try {
    // A lock that can be had is nobody's, whatever stands in the file.
    if (tryLock(fd)) return undefined;
    // In another user's directory the file could name any process of the host, and root would signal that.
    const reason = distrust(stateDirectory);
    if (reason !== undefined) throw new CommandError(exitCodes.usage, reason);
    const pid = Number(/^[1-9]\d{0,9}$/m.exec(readFileSync(fd, "latin1"))?.[0]);
    return Number.isSafeInteger(pid) ? pid : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Whether a warden holds the state directory. Throws a CommandError for others than root. */
export function isWardenRunning(stateDirectory: string): boolean {
  return holderOf(stateDirectory) !== undefined;
}

/** Leaves a request for the warden; false if none runs, and then nothing is left. */
export function requestWarden(stateDirectory: string, request: WardenRequest): boolean {
  return signalWarden(stateDirectory, "SIGUSR1", () => leaveRequest(stateDirectory, request));
}

/**
 * Signals the supervisor that holds the state directory, and never a process that has got its pid; false if none does.
 * `prepare` is called before the signal, if there is a supervisor.
 */
function signalWarden(stateDirectory: string, signal: "SIGHUP" | "SIGUSR1", prepare?: () => void): boolean {
  const pid = holderOf(stateDirectory);
  if (pid === undefined) return false;
  using holder = pidfdOpen(pid);
  // Between the two looks it may have ended, and another process have its pid.
  if (holder === null || holderOf(stateDirectory) !== pid) return false;
  prepare?.();
  return holder.signal(os.signals[signal]);
}

/** Leaves a request for the next warden that starts; returns its name. */
export function leaveRequest(stateDirectory: string, request: WardenRequest): string {
  const name = requestName(Date.now(), Math.random() * 2 ** 32);
  writeWhole(join(stateDirectory, REQUEST_FOLDER, name), formatWardenRequest(request));
  return name;
}

/** How long a command waits for an answer. */
export interface AnswerWait {
  /** In milliseconds. */
  readonly limitMs: number;
  /** Called every `intervalMs` while there is no answer, with the seconds that have passed. */
  readonly intervalMs: number;
  readonly onWaiting: (seconds: number) => void;
}

const SHORT_WAIT: AnswerWait = { limitMs: 5_000, intervalMs: Number.POSITIVE_INFINITY, onWaiting() {} };
const LOOK_MS = 5;

/**
 * Asks the warden and waits for its answer; undefined if no warden runs. Throws a CommandError with exit code 4 if it
 * does not answer in time, which is 5 s by default: then nobody knows whether the request is in force.
 */
export async function askWarden(
  stateDirectory: string,
  request: WardenRequest,
  { limitMs, intervalMs, onWaiting }: AnswerWait = SHORT_WAIT,
): Promise<WardenAnswer | undefined> {
  let name = "";
  const isSent = signalWarden(stateDirectory, "SIGUSR1", () => {
    name = leaveRequest(stateDirectory, request);
  });
  if (!isSent) return undefined;
  const path = join(stateDirectory, REQUEST_FOLDER, answerName(name));
  const start = performance.now();
  let noticeAt = start + intervalMs;
  for (;;) {
    const bytes = readCheckedFileOrNothing(path, stateFile(ANSWER_LIMIT));
    if (bytes !== undefined) {
      rmSync(path, { force: true });
      const answer = parseWardenAnswer(bytes.toString("utf8"));
      if (answer !== undefined) return answer;
      throw new CommandError(exitCodes.fault, "the warden's answer cannot be read");
    }
    const now = performance.now();
    if (now > start + limitMs)
      throw new CommandError(
        exitCodes.fault,
        `the warden on ${stateDirectory} has not answered within ${Math.ceil(limitMs / 1_000)} s`,
        "treewarden status shows what is in force; treewarden events and the log of the service (journalctl -u treewarden) show what became of it",
      );
    if (now >= noticeAt) {
      noticeAt += intervalMs;
      onWaiting(Math.round((now - start) / 1_000));
    }
    await Bun.sleep(LOOK_MS);
  }
}

/**
 * Makes the warden read the baseline and the exclusions again. Returns once they are in force; without a warden, they are
 * from its next start.
 */
export async function loadBaseline(stateDirectory: string): Promise<void> {
  hintUnlessRunning(await loadInWarden(stateDirectory, "reload-baseline"));
}

/** As `loadBaseline`, of exclusions and change windows alone. */
export async function loadExclusions(stateDirectory: string): Promise<void> {
  hintUnlessRunning(await loadInWarden(stateDirectory, "reload-changes"));
}

/** Returns whether a warden runs, which has what it was asked to load in force then. */
export async function loadInWarden(
  stateDirectory: string,
  kind: "reload-baseline" | "reload-changes",
): Promise<boolean> {
  const answer = await askWarden(stateDirectory, { kind });
  if (answer !== undefined && answer.problems.length > 0)
    throw new CommandError(exitCodes.usage, answer.problems);
  return answer !== undefined;
}

function hintUnlessRunning(isRunning: boolean): void {
  if (!isRunning) hint("no treewarden runs: this takes effect at the next start");
}

/** As `requestWarden`; without a warden it is an error. */
export function requestWardenOrFail(stateDirectory: string, request: WardenRequest): void {
  if (!requestWarden(stateDirectory, request)) throw noWardenRuns(stateDirectory);
}

export function noWardenRuns(stateDirectory: string): CommandError {
  return new CommandError(
    exitCodes.no,
    `no treewarden runs on ${stateDirectory}`,
    "start it with treewarden run; --state-dir chooses which one",
  );
}
