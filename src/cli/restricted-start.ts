// The start of an internal command with the rights that its process needs, and no others.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Config } from "../config/config.ts";
import type { PrivilegeMode, ProcessRole } from "../hardening/privileges.ts";
import { giveUp, type OwnFiles, restrictFurther } from "../hardening/restrict.ts";
import { missingHardening } from "../hardening/support.ts";
import { replaceProcess } from "../linux/process.ts";
import { hasSystemCallFilters } from "../linux/seccomp.ts";
import { FIRST_PASSED, ownArguments } from "../linux/spawn.ts";
import { certificateFiles } from "../reporter/certificate-files.ts";
import type { ReporterPlan } from "../reporter/reporter-options.ts";
import type { SupervisorPlan } from "../supervisor/supervisor-plan.ts";
import { configInForce } from "../warden/last-good.ts";
import type { WardenPlan } from "../warden/warden-plan.ts";
import { CommandError, exitCodes, warn } from "./output.ts";

/** Environment variable that marks a process that has given up its rights. */
const RESTRICTED = "TREEWARDEN_RESTRICTED";

/** The part of a plan that describes the rights of the process that reads it. */
interface Restrictions {
  readonly config: Config;
  readonly mode: PrivilegeMode;
  readonly files: OwnFiles;
  /** The descriptors that the process has inherited besides its plan's. */
  readonly descriptors: readonly number[];
}

/**
 * Called with the role and the arguments of an internal command before it reads its plan. The first time it gives up
 * rights, executes the same command again, and so does not return; the second time it filters system calls. Throws a
 * CommandError if one of these fails and the configuration requires them. Does nothing for arguments that no supervisor
 * wrote.
 */
export function restrictOwnProcess(role: string, args: readonly string[]): void {
  const plan = Number(args[1]);
  const restrictions = readRestrictions(role, plan);
  if (restrictions === undefined) return;
  const { role: restricted, config, mode, files, descriptors } = restrictions;
  if (process.env[RESTRICTED] === "1") {
    onProblems(restricted, config, restrictFurther(restricted, mode), hasSystemCallFilters());
    return;
  }
  const isExpectedToWork = missingHardening().length === 0;
  onProblems(restricted, config, giveUp(restricted, mode, files), isExpectedToWork);
  const environment: Record<string, string> = { [RESTRICTED]: "1" };
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) environment[name] = value;
  // SQLite may need temporary files, and its other folders are out of reach.
  if (restricted === "reporter") environment.SQLITE_TMPDIR = files.folder;
  const argv = ["treewarden", ...ownArguments(), role, ...args];
  replaceProcess(argv, environment, [...descriptors, plan]);
}

/** `isExpectedToWork`: false if `treewarden run` has warned that something is missing here. */
function onProblems(
  role: ProcessRole,
  config: Config,
  problems: readonly string[],
  isExpectedToWork: boolean,
): void {
  if (problems.length === 0) return;
  const found = `in the ${role} ${problems.join("; ")}`;
  if (config.hardening === "required") {
    throw new CommandError(
      exitCodes.notAllowed,
      `hardening: required, but ${found}`,
      "treewarden doctor shows what this kernel lacks; with hardening: best_effort treewarden starts without it",
    );
  }
  if (isExpectedToWork) warn(found);
}

/** Undefined if there is no plan; the command then refuses the arguments. */
function readRestrictions(
  role: string,
  fd: number,
): (Restrictions & { readonly role: ProcessRole }) | undefined {
  if (!Number.isInteger(fd) || fd < FIRST_PASSED) return undefined;
  let text: string;
  try {
    text = readPlanFile(fd);
  } catch {
    return undefined;
  }
  const below = Array.from({ length: fd - FIRST_PASSED }, (_, i) => FIRST_PASSED + i);
  switch (role) {
    case "supervisor": {
      const { descriptors }: SupervisorPlan = JSON.parse(text);
      const { config }: WardenPlan = JSON.parse(readPlanFile(descriptors.wardenPlan));
      return { role, ...restrictionsOf(config, false), descriptors: Object.values(descriptors) };
    }
    case "warden": {
      const { run, config }: WardenPlan = JSON.parse(text);
      return { role, ...restrictionsOf(configInForce(run, config), false), descriptors: below };
    }
    case "examiner": {
      const { config }: WardenPlan = JSON.parse(text);
      return { role, ...restrictionsOf(config, false), descriptors: below };
    }
    case "reporter": {
      const { options }: ReporterPlan = JSON.parse(text);
      const { otlp } = options;
      // The folders, because a file that is renewed is another one.
      const read = [...new Set(certificateFiles(otlp).map((path) => dirname(path)))];
      return { role, ...restrictionsOf(options.config, otlp !== null, read), descriptors: below };
    }
    default:
      return undefined;
  }
}

/** Reads a sealed file without moving the position of its descriptor or closing it. */
function readPlanFile(fd: number): string {
  return readFileSync(`/proc/self/fd/${fd}`, "utf8");
}

/** `read`: files and folders that the reporter reads besides those of the system. */
function restrictionsOf(
  config: Config,
  exports: boolean,
  read: readonly string[] = [],
): Omit<Restrictions, "descriptors"> {
  const mode = privilegeMode(config, exports);
  return { config, mode, files: { folder: join(config.state_directory, "report"), read } };
}

/** `exports`: whether the reporter sends to a collector. Other processes have no privilege that depends on it. */
export function privilegeMode(config: Config, exports: boolean): PrivilegeMode {
  return {
    source: config.source,
    network: config.network.watch !== "off",
    enforcement: config.enforcement,
    mail: config.mail.to.length > 0,
    setIdMail: config.mail.set_id,
    evidence: config.evidence.enabled,
    exports,
  };
}
