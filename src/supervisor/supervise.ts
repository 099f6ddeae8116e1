// The start of a run: `treewarden run` prepares what all processes share, and becomes the supervisor, which goes on in
// continue-supervising.ts.

import { createPipe } from "../linux/descriptor.ts";
import { createWatch, watchGrowth } from "../linux/inotify.ts";
import { createSealedFile } from "../linux/memfd.ts";
import { replaceProcess, type User } from "../linux/process.ts";
import { blockSignals } from "../linux/signalfd.ts";
import { moveHigh, ownArguments } from "../linux/spawn.ts";
import { isTerminal } from "../linux/terminal.ts";
import { Timer } from "../linux/timerfd.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { supervisorEnvironment } from "./environment.ts";
import { DEAD_MAN_MS, handledSignals } from "./inherited.ts";
import { createLink, linkNames } from "./links.ts";
import { log } from "./log.ts";
import { serviceManagerOf } from "./service-notifier.ts";
import { takeStateDirectory } from "./state-directory.ts";
import {
  completeDescriptors,
  type Descriptors,
  planArguments,
  type SupervisorPlan,
} from "./supervisor-plan.ts";

/** The plans that each process of these roles reads at its start; the roles define their own formats. */
export type ChildPlans = Readonly<Record<"warden" | "reporter" | "examiner", string>>;

export interface SuperviseOptions {
  /** Identifies this run; stays the same through every restart. */
  readonly runId: string;
  /** Makes the plans. `reporterUser`: the user that the reporter must become; null if it cannot change its user. */
  readonly plans: (reporterUser: User | null) => ChildPlans;
  /** A warden that keeps crashing is started without eBPF, with the reason as an additional argument. */
  readonly sensorFallback: boolean;
  /** Created if it is missing; a second run on the same directory is refused. */
  readonly stateDirectory: string;
  /** Name of the reporter's user; see `reporterUser`. */
  readonly reporterUser: string | undefined;
  /** The longest time between two polls of the warden, and for the reporter likewise; default 10,000 ms. */
  readonly deadManMs?: number;
  /**
   * Writes the files that must be in the state directory before the first process starts; called with the lock held.
   * Returns the folder whose changes wake the examiner, undefined if there is none.
   */
  readonly prepare?: () => string | undefined;
  /** The environment to pick from: each process gets only the variables that it needs. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Has the loader's list of libraries to preload, which the examiner reports. */
const SETTINGS_FOLDER = "/etc";

/**
 * A descriptor that becomes readable when the package database in `folder` or a file in /etc changes. Without it,
 * changes of packages are noticed only at the next question.
 */
function openWatch(folder: string | undefined): number {
  try {
    const watch = folder === undefined ? createWatch() : watchGrowth(folder);
    watch.addFolder(SETTINGS_FOLDER);
    return watch.fd;
  } catch {
    // The user's limit of inotify watches may be reached.
  }
  // A timer that is never armed is never ready.
  return new Timer().fd;
}

/** Descriptors that `copyHigh` made, all close-on-exec. */
function openDescriptors(lock: number, packagesFolder: string | undefined, plans: ChildPlans): Descriptors {
  const others = {
    lock,
    deadMan: new Timer().fd,
    deadManOfReporter: new Timer().fd,
    deadManOfExaminer: new Timer().fd,
    packages: openWatch(packagesFolder),
    wardenPlan: createSealedFile("warden-plan", plans.warden),
    reporterPlan: createSealedFile("reporter-plan", plans.reporter),
    examinerPlan: createSealedFile("examiner-plan", plans.examiner),
    ...pipeInsteadOf(STDOUT, "output", "outputOfReporter"),
    ...pipeInsteadOf(STDERR, "errors", "errorsOfReporter"),
  };
  const high = Object.entries(others).map(([name, fd]) => [name, moveHigh(fd)]);
  return completeDescriptors(Object.assign(Object.fromEntries(high), ...linkNames.map(createLink)));
}

const STDOUT = 1;
const STDERR = 2;

/** The ends of a pipe for the reporter in place of a terminal, see terminal-copy.ts. */
function pipeInsteadOf(fd: number, reading: string, writing: string): Readonly<Record<string, number>> {
  if (!isTerminal(fd)) return {};
  const [read, write] = createPipe();
  return { [reading]: read, [writing]: write };
}

/**
 * Makes this process the supervisor of warden, reporter, examiner and standby. Signals can be read only by a program
 * that was started with them blocked, so the process executes `treewarden supervisor`, keeps its pid, and does not
 * return from here. On failure it logs the reason and returns an exit code: 2 for wrong use or another run on the state
 * directory, 3 if something is not allowed.
 */
export function supervise(options: SuperviseOptions): number {
  const taken = takeStateDirectory(options.stateDirectory, options.reporterUser);
  if ("reason" in taken) return refuse(taken.reason, taken.kind === "usage" ? 2 : 3);
  let packagesFolder: string | undefined;
  try {
    packagesFolder = options.prepare?.();
  } catch (problem) {
    return refuse(messageOf(problem), 3);
  }
  const descriptors = openDescriptors(taken.lock, packagesFolder, options.plans(taken.reporter));
  const serviceManager = serviceManagerOf(options.environment);
  const plan: SupervisorPlan = {
    ...(serviceManager === undefined ? {} : { serviceManager }),
    runId: options.runId,
    sensorFallback: options.sensorFallback,
    ...(taken.reporter === null ? {} : { reporterUid: taken.reporter.uid }),
    deadManMs: options.deadManMs ?? DEAD_MAN_MS,
    descriptors,
  };
  const planFile = createSealedFile("supervisor-plan", JSON.stringify(plan));
  const argv = ["treewarden", ...ownArguments(), "supervisor", ...planArguments(plan.runId, planFile)];
  // With SIGTTOU blocked, a run in the background may write to a terminal that stops background jobs (stty tostop).
  blockSignals([...handledSignals, "SIGTTOU"]);
  try {
    const keepOpen = [...Object.values(descriptors), planFile];
    replaceProcess(argv, supervisorEnvironment(options.environment), keepOpen);
  } catch (problem) {
    return refuse(`cannot become the supervisor: ${messageOf(problem)}`, 3);
  }
}

function refuse(reason: string, code: number): number {
  log(reason);
  return code;
}
