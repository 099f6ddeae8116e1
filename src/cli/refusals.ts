// The reasons why `run` refuses to start. `doctor` calls the same functions, so that it reports whatever `run` refuses.
import { type Config, defaultConfig } from "../config/config.ts";
import { isInHostNamespace } from "../linux/namespaces.ts";
import { reporterUser, type User } from "../supervisor/reporter-user.ts";
import { CommandError, exitCodes } from "./output.ts";

/** Throws a CommandError if `config` is valid but requires something that `run` does not support. */
export function checkRunnable(config: Config): void {
  if (config.enforcement === "prevent") {
    throw new CommandError(
      exitCodes.usage,
      "enforcement prevent is not built yet",
      "use kill: it ends the program at its exec",
    );
  }
}

/**
 * Throws a CommandError if this process is not in the host's pid namespace. The kernel reports the host's pids, and
 * there another process, or none, has the same pid: names would be wrong, and a kill would hit nothing.
 */
export function checkNamespace(): void {
  if (isInHostNamespace("pid")) return;
  throw new CommandError(
    exitCodes.notAllowed,
    "this is not the host's pid namespace, so the pids that the kernel reports mean nothing here",
    "run it on the host, or in a container with the host's namespaces (docker: --pid=host --network=host --userns=host)",
  );
}

/** The name that the configuration gives to the reporter's user; undefined leaves the choice to `reporterUser`. */
export function reporterUserName(config: Config): string | undefined {
  return config.reporter_user === defaultConfig().reporter_user ? undefined : config.reporter_user;
}

/** The user that the reporter gets under `config`; see `reporterUser`. */
export function reporterUserOf(config: Config): User | null | string {
  return reporterUser(reporterUserName(config));
}
