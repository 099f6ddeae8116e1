// Asking a running treewarden for something: a file in a folder that only root writes, and a signal.
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { constants as os } from "node:os";
import { join } from "node:path";
import {
  formatWardenRequest,
  REQUEST_FOLDER,
  requestName,
  type WardenRequest,
} from "../../baseline/warden-request.ts";
import { tryLock } from "../../linux/flock.ts";
import { pidfdOpen } from "../../linux/pidfd.ts";
import { codeOf } from "../../vocabulary/errors.ts";
import { CommandError, exitCodes } from "../output.ts";
import { writeWhole } from "./store.ts";

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
    const pid = Number(/^[1-9]\d{0,9}$/m.exec(readFileSync(fd, "latin1"))?.[0]);
    return Number.isSafeInteger(pid) ? pid : undefined;
  } finally {
    closeSync(fd);
  }
}

/** Leaves a request for the warden; false if none runs, and then nothing is left. */
export function requestWarden(stateDirectory: string, request: WardenRequest): boolean {
  const pid = holderOf(stateDirectory);
  if (pid === undefined) return false;
  using holder = pidfdOpen(pid);
  // Between the two looks it may have ended, and another process have its pid.
  if (holder === null || holderOf(stateDirectory) !== pid) return false;
  leaveRequest(stateDirectory, request);
  return holder.signal(os.signals.SIGUSR1);
}

/** Leaves a request for the next warden that starts. */
export function leaveRequest(stateDirectory: string, request: WardenRequest): void {
  const name = requestName(Date.now(), Math.random() * 2 ** 32);
  writeWhole(join(stateDirectory, REQUEST_FOLDER, name), formatWardenRequest(request));
}

/** As `ask`; without a warden it is an error. */
export function requestWardenOrFail(stateDirectory: string, request: WardenRequest): void {
  if (requestWarden(stateDirectory, request)) return;
  throw new CommandError(
    exitCodes.no,
    `no treewarden runs on ${stateDirectory}`,
    "start it with treewarden run; --state-dir says which one",
  );
}
