// The reasons why `run` refuses to start. `doctor` calls the same functions, so that it reports whatever `run` refuses.
import { type Config, defaultConfig } from "../config/config.ts";
import { reporterUser } from "../supervisor/reporter-user.ts";
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

/** The name that the configuration gives to the reporter's user; undefined leaves the choice to `reporterUser`. */
export function reporterUserName(config: Config): string | undefined {
  return config.reporter_user === defaultConfig().reporter_user ? undefined : config.reporter_user;
}

/** The user that the reporter gets under `config`; see `reporterUser`. */
export function reporterUserOf(config: Config): ReturnType<typeof reporterUser> {
  return reporterUser(reporterUserName(config));
}
