// The reasons why `run` refuses to start. `doctor` calls the same functions, so that it reports whatever `run` refuses.
import { statSync } from "node:fs";
import { type Config, defaultConfig } from "../config/config.ts";
import { missingHardening } from "../hardening/support.ts";
import { isInHostNamespace } from "../linux/namespaces.ts";
import { SENDMAIL } from "../report/sendmail-path.ts";
import { reporterUser } from "../supervisor/reporter-user.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";

/**
 * Throws a CommandError if this process is not in the host's pid namespace. The kernel reports the host's pids, which
 * mean other processes in another namespace: names would be wrong, and kills would have no effect.
 */
export function checkNamespace(): void {
  if (isInHostNamespace("pid")) return;
  throw new CommandError(
    exitCodes.notAllowed,
    "this is not the host's pid namespace, so the pids that the kernel reports mean nothing here",
    "run it on the host, or in a container with the host's namespaces (docker: --pid=host --network=host --userns=host)",
  );
}

/**
 * Warns of each right that the processes cannot give up here, and of settings that do not go with the rights that they
 * have. Throws a CommandError instead if the configuration requires that rights are given up.
 */
export function checkHardening(config: Config): void {
  const { hardening, mail } = config;
  if (hardening === "required" && mail.to.length > 0 && mail.set_id) {
    throw new CommandError(
      exitCodes.usage,
      "hardening: required does not go with mail.set_id: true",
      "use a sendmail without set-id bits, such as msmtp, or hardening: best_effort",
    );
  }
  for (const { lack, fix } of missingHardening()) {
    if (hardening === "required")
      throw new CommandError(exitCodes.notAllowed, `hardening: required, but ${lack}`, `it needs ${fix}`);
    warn(lack);
    hint(`it needs ${fix}`);
  }
  if (mail.to.length > 0 && reporterUserOf(config) === "transient") {
    warn(
      "mail: the reporter's user has a number and no name, and most mail systems accept no mail from such a user",
    );
    hint("add a system user treewarden (packaging/systemd/treewarden.sysusers)");
  }
  const program = mail.to.length > 0 && !mail.set_id ? setIdSendmail() : undefined;
  if (program === undefined) return;
  warn(`mail: ${program} works by its set-id bits, which have no effect on what treewarden starts`);
  hint("mail.set_id: true in the configuration permits it; docs/reporting.md describes the cost");
}

/** Programs of Postfix and nullmailer by which their sendmail writes to the mail queue. */
const queueWriters = ["/usr/sbin/postdrop", "/usr/sbin/nullmailer-queue"];

/** The program of the host's mail system that needs its set-id bits; undefined if there is none. */
function setIdSendmail(): string | undefined {
  return [SENDMAIL, ...queueWriters].find(
    (path) => ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o6000) !== 0,
  );
}

/** The name that the configuration gives to the reporter's user; undefined leaves the choice to `reporterUser`. */
export function reporterUserName(config: Config): string | undefined {
  return config.reporter_user === defaultConfig().reporter_user ? undefined : config.reporter_user;
}

/** The user that the reporter gets under `config`; see `reporterUser`. */
export function reporterUserOf(config: Config): ReturnType<typeof reporterUser> {
  return reporterUser(reporterUserName(config));
}
