// Entry points of the supervisor: `supervise` for `treewarden run`, and `continueSupervising` for the hidden commands
// that the process then executes.

import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { watchGrowth } from "../linux/inotify.ts";
import { createSealedFile } from "../linux/memfd.ts";
import { pidfdOpen } from "../linux/pidfd.ts";
import { getppid, replaceProcess, setProcessName } from "../linux/process.ts";
import { blockSignals } from "../linux/signalfd.ts";
import { socketPair } from "../linux/socketpair.ts";
import { copyHigh, ownArguments } from "../linux/spawn.ts";
import { Timer } from "../linux/timerfd.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { supervisorEnvironment } from "./environment.ts";
import { DEAD_MAN_MS } from "./inherited.ts";
import { log } from "./log.ts";
import { reporterUser } from "./reporter-user.ts";
import { signLock, takeStateDirectory } from "./state-directory.ts";
import { handledSignals, Supervisor } from "./supervisor.ts";
import {
  type Descriptors,
  mapDescriptors,
  parseSupervisorPlan,
  planArguments,
  type SupervisorPlan,
} from "./supervisor-plan.ts";

export interface SuperviseOptions {
  /** Identifies this run; stays the same through every restart. */
  readonly runId: string;
  /** The plan that each process of these roles reads at its start; the roles define their own formats. */
  readonly plans: Readonly<Record<"warden" | "reporter" | "examiner", string>>;
  /** A warden that keeps crashing is started without eBPF, with the reason as an additional argument. */
  readonly sensorFallback: boolean;
  /** Created if it is missing; a second run on the same directory is refused. */
  readonly stateDirectory: string;
  /** Name of the reporter's user; if undefined, `treewarden` or else `nobody`. Ignored unless run as root. */
  readonly reporterUser: string | undefined;
  /** The longest time between two polls of the warden; default 10,000 ms. */
  readonly deadManMs?: number;
  /**
   * Writes the files that must be in the state directory before the first process starts; called with the lock held.
   * Returns the folder whose changes wake the examiner, undefined if there is none.
   */
  readonly prepare?: () => string | undefined;
  /** The environment to pick from: each process gets only the variables that it needs. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

// The report socket buffers what the warden reports while the reporter is being restarted.
const reportBytes = 4 << 20;
const controlBytes = 64 << 10;
// The examiner's socket buffers one question for every program of a large host while no examiner runs.
const examineBytes = 1 << 20;

/**
 * A descriptor that becomes readable when `folder` changes. Without it, changes are noticed only at the next question.
 */
function openWatch(folder: string | undefined): number {
  try {
    if (folder !== undefined) return watchGrowth(folder).fd;
  } catch {
    // The user's limit of inotify watches may be reached.
  }
  // A timer that is never armed is never ready.
  return new Timer().fd;
}

function openDescriptors(
  lock: number,
  packagesFolder: string | undefined,
  plans: SuperviseOptions["plans"],
): Descriptors {
  const [reportOfWarden, reportOfReporter] = socketPair(reportBytes);
  const [controlWarden, controlOfWarden] = socketPair(controlBytes);
  const [controlReporter, controlOfReporter] = socketPair(controlBytes);
  const [controlExaminer, controlOfExaminer] = socketPair(controlBytes);
  const [examinerOfWarden, wardenOfExaminer] = socketPair(examineBytes);
  const deadMan = new Timer().fd;
  const warden = { reportOfWarden, controlWarden, controlOfWarden, examinerOfWarden, deadMan };
  const reporter = { reportOfReporter, controlReporter, controlOfReporter };
  const packages = openWatch(packagesFolder);
  const examiner = { controlExaminer, controlOfExaminer, wardenOfExaminer, packages };
  return {
    ...{ ...warden, ...reporter, ...examiner, lock },
    wardenPlan: createSealedFile("warden-plan", plans.warden),
    reporterPlan: createSealedFile("reporter-plan", plans.reporter),
    examinerPlan: createSealedFile("examiner-plan", plans.examiner),
  };
}

/**
 * Makes this process the supervisor of warden, reporter, examiner and standby. Signals can be read only by a program
 * that was started with them blocked, so the process executes `treewarden supervisor`, keeps its pid, and does not
 * return from here. On failure it logs the reason and returns an exit code: 2 for wrong use or another run on the state
 * directory, 3 if something is not allowed.
 */
export function supervise(options: SuperviseOptions): number {
  const user = reporterUser(options.reporterUser);
  if (typeof user === "string") return refuse(user, 2);
  const lock = takeStateDirectory(options.stateDirectory, user);
  if (typeof lock !== "number") return refuse(lock.reason, lock.kind === "usage" ? 2 : 3);
  let packagesFolder: string | undefined;
  try {
    packagesFolder = options.prepare?.();
  } catch (problem) {
    return refuse(messageOf(problem), 3);
  }
  const descriptors = mapDescriptors(openDescriptors(lock, packagesFolder, options.plans), copyHigh);
  const plan: SupervisorPlan = {
    runId: options.runId,
    sensorFallback: options.sensorFallback,
    reporterUser: user,
    deadManMs: options.deadManMs ?? DEAD_MAN_MS,
    descriptors,
  };
  const planFile = createSealedFile("supervisor-plan", JSON.stringify(plan));
  const argv = ["treewarden", ...ownArguments(), "supervisor", ...planArguments(plan.runId, planFile)];
  blockSignals(handledSignals);
  try {
    const keepOpen = [...Object.values(descriptors), planFile];
    replaceProcess(argv, supervisorEnvironment(options.environment), keepOpen);
  } catch (problem) {
    return refuse(`cannot become the supervisor: ${messageOf(problem)}`, 3);
  }
}

/**
 * Runs the hidden commands `treewarden supervisor`, the first supervisor of a run, and `treewarden standby`, which
 * takes over when the supervisor dies. `text` is the plan. Resolves with the exit code.
 */
export async function continueSupervising(text: string): Promise<number> {
  const plan = parseSupervisorPlan(text);
  const descriptors = mapDescriptors(plan.descriptors, moveHigh);
  process.chdir("/");
  if (plan.standbyOf !== undefined) {
    setProcessName("treewarden-stby");
    waitForEndOf(plan.standbyOf);
  }
  setProcessName("treewarden");
  signLock(descriptors.lock);
  using supervisor = new Supervisor({ ...plan, descriptors });
  return await supervisor.run();
}

function moveHigh(fd: number): number {
  const copy = copyHigh(fd);
  closeDescriptor(fd);
  return copy;
}

/** Returns when the parent process `pid` has ended. */
function waitForEndOf(pid: number): void {
  using handle = pidfdOpen(pid);
  // If `pid` is not the parent any more, the parent has ended and the pid may have been reused.
  if (handle === null || getppid() !== pid) return;
  using poll = new Poll(1);
  poll.add(handle.fd, 0, EPOLLIN);
  while (poll.wait(-1) === 0);
}

function refuse(reason: string, code: number): number {
  log(reason);
  return code;
}
