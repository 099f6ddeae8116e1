// Ways in: `supervise` for `treewarden run`, `continueSupervising` for the hidden command that it becomes.

import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { watchGrowth } from "../linux/inotify.ts";
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
  type SupervisorPlan,
} from "./supervisor-plan.ts";

export interface SuperviseOptions {
  /** Names this run; the same through every restart. */
  readonly runId: string;
  /** What follows the hidden commands `warden`, `reporter` and `examiner`. */
  readonly wardenArgs: readonly string[];
  readonly reporterArgs: readonly string[];
  readonly examinerArgs: readonly string[];
  /** A warden that crashes again and again is started without eBPF; its second argument then says why. */
  readonly sensorFallback: boolean;
  /** Made if missing; a second run on it is refused. */
  readonly stateDirectory: string;
  /** Name of the reporter's user; undefined: `treewarden`, else `nobody`. Not used unless root. */
  readonly reporterUser: string | undefined;
  /** How long the warden may be away from its poll; default 10,000. */
  readonly deadManMs?: number;
  /**
   * Writes what must stand in the state directory before the first process starts; called when it is this run's alone.
   * Gives the folder whose changes wake the examiner, undefined if there is none.
   */
  readonly prepare?: () => string | undefined;
  /** Each process gets of it what it needs. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

// Room for what the warden reports while the reporter is restarted.
const reportBytes = 4 << 20;
const controlBytes = 64 << 10;
// Room for a question about every file of a large host while the examiner is away.
const examineBytes = 1 << 20;

/** Without a watch every question to the examiner finds out that packages have changed. */
function openWatch(folder: string | undefined): number {
  try {
    if (folder !== undefined) return watchGrowth(folder).fd;
  } catch {
    // The user's watches may be used up.
  }
  // Never armed, never ready.
  return new Timer().fd;
}

function openDescriptors(lock: number, packagesFolder: string | undefined): Descriptors {
  const [reportOfWarden, reportOfReporter] = socketPair(reportBytes);
  const [controlWarden, controlOfWarden] = socketPair(controlBytes);
  const [controlReporter, controlOfReporter] = socketPair(controlBytes);
  const [controlExaminer, controlOfExaminer] = socketPair(controlBytes);
  const [examinerOfWarden, wardenOfExaminer] = socketPair(examineBytes);
  const deadMan = new Timer().fd;
  const warden = { reportOfWarden, controlWarden, controlOfWarden, examinerOfWarden, deadMan };
  const reporter = { reportOfReporter, controlReporter, controlOfReporter };
  const packages = openWatch(packagesFolder);
  return { ...warden, ...reporter, controlExaminer, controlOfExaminer, wardenOfExaminer, packages, lock };
}

/**
 * Makes this process the supervisor of warden, reporter, examiner and standby. It does not return: signals can be read only
 * by a program that was started with them blocked, so the process becomes `treewarden supervisor` by execve, with the
 * same pid. Gives an exit code if it could not (2: wrong use or another run on the state directory, 3: not allowed),
 * after saying why.
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
  const descriptors = mapDescriptors(openDescriptors(lock, packagesFolder), copyHigh);
  const plan: SupervisorPlan = {
    runId: options.runId,
    wardenArgs: [...options.wardenArgs],
    reporterArgs: [...options.reporterArgs],
    examinerArgs: [...options.examinerArgs],
    sensorFallback: options.sensorFallback,
    reporterUser: user,
    deadManMs: options.deadManMs ?? DEAD_MAN_MS,
    descriptors,
  };
  const argv = ["treewarden", ...ownArguments(), "supervisor", JSON.stringify(plan)];
  blockSignals(handledSignals);
  try {
    replaceProcess(argv, supervisorEnvironment(options.environment), Object.values(descriptors));
  } catch (problem) {
    return refuse(`cannot become the supervisor: ${messageOf(problem)}`, 3);
  }
}

/**
 * The hidden command `treewarden supervisor PLAN`: a run's first supervisor, or one that waits until its turn comes.
 * Resolves with the exit code.
 */
export async function continueSupervising(args: readonly string[]): Promise<number> {
  const given = parseSupervisorPlan(args[0] ?? "");
  const descriptors = mapDescriptors(given.descriptors, moveHigh);
  process.chdir("/");
  if (given.standbyOf !== undefined) {
    setProcessName("treewarden-stby");
    waitForEndOf(given.standbyOf);
  }
  setProcessName("treewarden");
  signLock(descriptors.lock);
  using supervisor = new Supervisor({ ...given, descriptors });
  return await supervisor.run();
}

function moveHigh(fd: number): number {
  const copy = copyHigh(fd);
  closeDescriptor(fd);
  return copy;
}

/** Returns when our parent, the process `pid`, has ended. */
function waitForEndOf(pid: number): void {
  using handle = pidfdOpen(pid);
  // Once it is not our parent any more, the pid may be another's.
  if (handle === null || getppid() !== pid) return;
  using poll = new Poll(1);
  poll.add(handle.fd, 0, EPOLLIN);
  while (poll.wait(-1) === 0);
}

function refuse(reason: string, code: number): number {
  log(reason);
  return code;
}
