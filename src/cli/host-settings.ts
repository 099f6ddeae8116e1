// The settings of this host. Every command gets its configuration, state directory, policies and base list from here,
// so that all of them name and judge programs as `treewarden run` does.
import { join } from "node:path";
import { type Command, Option } from "commander";
import { type Config, configFile, defaultStateDirectory } from "../config/config.ts";
import { baseOf } from "../examiner/base.ts";
import type { PackageDatabase } from "../examiner/database.ts";
import { isAnyLocked } from "../examiner/files.ts";
import { openPackages } from "../examiner/open.ts";
import { type BaseSystem, embeddedBase } from "../fingerprint/base.ts";
import { shownValue } from "../vocabulary/error-text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { readBase } from "../warden/base-file.ts";
import { readLastGood } from "../warden/last-good.ts";
import { type OutputErrors, type ReadConfig, readConfigFile } from "./configuration.ts";
import type { ReadPurpose } from "./file-rules.ts";
import { CommandError, exitCodes, warn } from "./output.ts";
import { type LoadedPolicies, policyOrError } from "./policies.ts";
import { filesOnDisk, keptFiles, type SettingFiles } from "./setting-files.ts";

/** The options that override the configuration file. They have the same meaning in every command. */
export interface HostFlags {
  readonly config?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly policy?: readonly string[] | undefined;
}

export function configOption(): Option {
  return new Option("--config <file>", `configuration file (default: ${configFile} if it exists)`);
}

export function stateDirOption(): Option {
  return new Option(
    "--state-dir <directory>",
    `state directory of treewarden run (default: the configuration's, else ${defaultStateDirectory})`,
  );
}

/** Adds the options that choose the host's configuration file and state directory. */
export function withHostOptions(command: Command): Command {
  return command.addOption(configOption()).addOption(stateDirOption());
}

export function policyOption(): Option {
  return new Option(
    "--policy <role-or-file>",
    "policy to judge by; may be repeated (default: the configuration's, else what is installed)",
  ).argParser((value: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), value]);
}

/**
 * The configuration file's settings, overridden by the options of the command line. An error in the section of an
 * output is a warning, because no command but `run` has outputs. Throws a CommandError that lists every other error with
 * its place.
 */
export function hostConfig(flags: HostFlags, purpose: ReadPurpose = "to show"): Config {
  return hostConfigWithFile(flags, purpose).config;
}

/** As `hostConfig`, with the configuration file that the settings come from. */
export function hostConfigWithFile(
  flags: HostFlags,
  purpose: ReadPurpose,
): Pick<ReadConfig, "config" | "file"> {
  const { config, file, outputProblems } = hostConfigFile(flags, purpose, filesOnDisk, "turn off");
  for (const { text } of outputProblems)
    warn(`the configuration has an error, with which run starts: ${text}`);
  return { config, file };
}

/** As `hostConfigWithFile`, for `run`, which decides itself what an error in the section of an output does. */
export function hostConfigFile(
  flags: HostFlags,
  purpose: ReadPurpose,
  files: SettingFiles = filesOnDisk,
  outputErrors: OutputErrors = "refused",
): ReadConfig {
  const read = readConfigFile(flags.config, purpose, files, outputErrors);
  const { config } = read;
  const policies = flags.policy?.map(absolutePolicy) ?? config.policies;
  const { stateDir = config.state_directory } = flags;
  if (!stateDir.startsWith("/"))
    throw new CommandError(
      exitCodes.usage,
      `--state-dir must be an absolute path, not ${shownValue(stateDir)}`,
    );
  return { ...read, config: { ...config, policies, state_directory: stateDir } };
}

/** The configuration of this host, and where its policies are read from. */
export interface UsableConfig {
  readonly config: Config;
  readonly files: SettingFiles;
}

/**
 * For commands that must work while the configuration on disk has errors: then this prints the errors and returns what
 * was last in force on the state directory, the default one without `--state-dir`. Throws the errors as a CommandError
 * if nothing was ever in force there, or the caller may not read it.
 */
export function hostConfigOrLastGood(flags: HostFlags, purpose: ReadPurpose = "to show"): UsableConfig {
  try {
    return { config: hostConfig(flags, purpose), files: filesOnDisk };
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== exitCodes.usage) throw error;
    const lastGood = lastGoodConfig(flags.stateDir ?? defaultStateDirectory);
    if (lastGood !== undefined) {
      warn(...error.lines, "the configuration has errors; the command uses the one that was last in force");
      return lastGood;
    }
    if (flags.stateDir !== undefined) throw error;
    throw new CommandError(
      error.code,
      error.lines,
      "the command can use what was last in force: name the state directory with --state-dir",
    );
  }
}

function lastGoodConfig(stateDir: string): UsableConfig | undefined {
  const kept = readLastGood(stateDir);
  if (kept === undefined) return undefined;
  const files = keptFiles(kept);
  try {
    const { config } = hostConfigFile(
      { config: kept.origin.file ?? undefined, stateDir },
      "to decide",
      files,
    );
    return { config, files };
  } catch {
    // It is of another version, which had other settings.
    return undefined;
  }
}

/**
 * Makes the path of a policy file absolute, because treewarden's processes run in `/`; names of roles stay as they are.
 */
function absolutePolicy(policy: string): string {
  const isFile = policy.includes("/") || policy.endsWith(".json");
  return isFile && !policy.startsWith("/") ? join(process.cwd(), policy) : policy;
}

/**
 * The policy for a command that only shows what a policy would decide. A policy named on the command line need not be
 * signed, because it is not put into force; one named in the configuration is loaded as `treewarden run` does. Throws a
 * CommandError if the policy has an error.
 */
export function policyToTry(flags: HostFlags, config: Config): LoadedPolicies {
  return policyOrError(flags.policy === undefined ? config : { ...config, policy_keys: [] }, "to show");
}

/** The base list that `run` computes when it starts, and the package database that it is computed from. */
export function computeBase(config: Config): {
  readonly base: BaseSystem;
  readonly packages: PackageDatabase | undefined;
} {
  const packages = openPackages();
  return { base: baseOf(packages, config.base), packages };
}

/**
 * The base list by which programs are named on this host: the list of the running warden, or else the list that `run`
 * would compute now.
 */
export function hostBase(config: Config): BaseSystem {
  const directory = config.state_directory;
  const wardenBase = isAnyLocked([join(directory, "lock")]) ? readBase(directory) : undefined;
  if (wardenBase !== undefined) return wardenBase;
  try {
    return computeBase(config).base;
  } catch (error) {
    warn(`cannot read the package database, so names come from the embedded list: ${messageOf(error)}`);
    return readBase(directory) ?? embeddedBase;
  }
}
