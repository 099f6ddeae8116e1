// Selects the policies of a command: the named ones, or else all in /etc/treewarden/policies, or else the role `base`.
import type { KeyObject } from "node:crypto";
import { readdirSync } from "node:fs";
import { folderProblem } from "../linux/root-file.ts";
import { codeOf } from "../linux/system-error.ts";
import { decodeText } from "../linux/text.ts";
import { formatPolicyError, type PolicyError } from "../policy/document.ts";
import { embeddedPolicies } from "../policy/embedded.ts";
import {
  type LoadedRoles,
  type LoadResult,
  loadingPolicies,
  POLICY_FOLDER,
  type PolicySources,
} from "../policy/load.ts";
import { addingHostNames, type HostNames } from "../sensor/network/host-names.ts";
import { HintedError, messageOf } from "../vocabulary/errors.ts";
import { allSteps, type Steps } from "../vocabulary/steps.ts";
import { newestOf, readNewestSigned, type SigningTimes } from "../warden/signed-policies.ts";
import { fileRules, type ReadPurpose } from "./file-rules.ts";
import { readPublicKey, verifierOf } from "./keys.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";
import { filesOnDisk, type SettingFiles } from "./setting-files.ts";

/** The largest hosts file in bytes: some 10,000 lines. A copy of it is kept with what is in force. */
const HOST_FILE_LIMIT = 524_288;

/** Where policies are read from; see `ReadPurpose` for the difference. */
export function policySources(
  purpose: ReadPurpose,
  environmentNames: PolicySources["environmentNames"],
  { read: readFile }: SettingFiles = filesOnDisk,
): PolicySources {
  return {
    environmentNames,
    read(path, limit) {
      const content = readFile(path, fileRules(purpose, limit));
      if (content.ok) return content.bytes;
      const { kind, reason, fix } = content.problem;
      if (kind === "missing") return undefined;
      throw new HintedError(reason, fix);
    },
    embedded: embeddedPolicies,
    searchPath: [POLICY_FOLDER],
  };
}

/** A policy without errors, the baselines that come with its roles, when each role was signed, and names of addresses. */
export type LoadedPolicies = Pick<LoadedRoles, "policy" | "baselines" | "signed"> & {
  readonly hostNames: HostNames;
};

export type PolicySettingsResult =
  | ({ readonly ok: true /** Role or file of each. */; readonly names: readonly string[] } & LoadedPolicies)
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/** The settings of the configuration that concern policies. */
export interface PolicySettings {
  readonly policies?: readonly string[] | undefined;
  readonly policy_keys: readonly string[];
  /** Keeps when the policies that were in force before were signed. */
  readonly state_directory: string;
  readonly environment: { readonly read: readonly string[] };
  /** Files that name addresses. */
  readonly network: { readonly host_files: readonly string[] };
}

/**
 * Loads the named policies (roles or files), or else the installed ones. If there are keys, only signed policies are
 * accepted, and none that is older than one that was in force on this host.
 */
export function loadSettings(
  settings: PolicySettings,
  purpose: ReadPurpose,
  files: SettingFiles = filesOnDisk,
): PolicySettingsResult {
  return allSteps(loadingSettings(settings, purpose, new Map(), files));
}

/**
 * As `loadSettings`, a file or a rule at a time. `newest`: further signing times by role, which may not be in the state
 * directory yet.
 */
export function* loadingSettings(
  settings: PolicySettings,
  purpose: ReadPurpose,
  newest: SigningTimes = new Map(),
  files: SettingFiles = filesOnDisk,
): Steps<PolicySettingsResult> {
  const { policies, policy_keys, state_directory, environment } = settings;
  const mustBeSigned = policy_keys.length > 0;
  const sources = policySources(purpose, environment.read, files);
  const names = files.policies ?? policies ?? installed(purpose, mustBeSigned);
  if ("message" in names) return { ok: false, errors: [names] };
  const hostNames = yield* loadingHostNames(settings.network.host_files, purpose, files);
  if ("message" in hostNames) return { ok: false, errors: [hostNames] };
  if (!mustBeSigned) return resultOf(names, yield* loadingPolicies(names, sources), hostNames);
  const keys: KeyObject[] = [];
  const errors: PolicyError[] = [];
  for (const file of policy_keys) {
    const key = readPublicKey(file, purpose, files);
    if ("message" in key) errors.push(errorOf(key));
    else keys.push(key);
  }
  const saved = readNewestSigned(state_directory);
  const isUnknown = "message" in saved;
  // A command that only shows can also be run by a user who may not read the state directory.
  if (isUnknown && purpose === "to decide") errors.push(errorOf(saved));
  if (errors.length > 0) return { ok: false, errors };
  const trust = { verify: verifierOf(keys), newest: isUnknown ? newest : newestOf(saved, newest) };
  return resultOf(names, yield* loadingPolicies(names, { ...sources, trust }), hostNames);
}

/** The names in all of `paths`, or the error of the first file that cannot be read. */
function* loadingHostNames(
  paths: readonly string[],
  purpose: ReadPurpose,
  { read }: SettingFiles,
): Steps<HostNames | PolicyError> {
  const names = new Map<string, string>();
  for (const path of paths) {
    const content = read(path, fileRules(purpose, HOST_FILE_LIMIT));
    if (!content.ok) {
      const { kind, reason, fix } = content.problem;
      return errorOf({ file: path, message: kind === "missing" ? "does not exist" : reason, fix });
    }
    yield* addingHostNames(names, decodeText(content.bytes));
  }
  return names;
}

/** An error of a whole file. */
function errorOf({ file, message, fix }: Pick<PolicyError, "file" | "message" | "fix">): PolicyError {
  return { file, message, fix, line: 0, column: 0 };
}

function resultOf(names: readonly string[], result: LoadResult, hostNames: HostNames): PolicySettingsResult {
  if (result.policy === undefined) return { ok: false, errors: result.errors };
  // Without the files' text and the conditions as trees, which would stay in memory as long as the policy.
  const { policy, baselines, signed } = result;
  return { ok: true, names, policy, baselines, signed, hostNames };
}

/** Loads the policy; on errors prints each with its place and fix, and throws a CommandError. */
export function policyOrError(
  settings: PolicySettings,
  purpose: ReadPurpose,
  files: SettingFiles = filesOnDisk,
): PolicySettingsResult & { readonly ok: true } {
  const result = loadSettings(settings, purpose, files);
  if (result.ok) return result;
  throw policyRefusal("the policy", result.errors);
}

/** Prints each error with its place and fix. The CommandError that it returns names what has them. */
export function policyRefusal(what: string, errors: readonly PolicyError[]): CommandError {
  printPolicyErrors(errors);
  const count = errors.length;
  const found = count === 1 ? "an error" : `${count} errors`;
  const details = errors.map(formatPolicyError);
  return new CommandError(exitCodes.usage, `${what} has ${found}`, undefined, details);
}

/** Prints each error with its place and fix on stderr. */
export function printPolicyErrors(errors: readonly PolicyError[]): void {
  for (const error of errors) {
    warn(formatPolicyError(error));
    if (error.fix !== undefined) hint(error.fix);
  }
}

/**
 * The installed policies, or else the embedded role `base`. Where policies must be signed, an empty folder is an error:
 * a user who can remove a file could otherwise remove its rules.
 */
function installed(purpose: ReadPurpose, mustBeSigned: boolean): readonly string[] | PolicyError {
  const problem = purpose === "to decide" ? folderProblem(POLICY_FOLDER) : undefined;
  if (problem !== undefined)
    return errorOf({ file: POLICY_FOLDER, message: problem.reason, fix: problem.fix });
  let names: string[] = [];
  try {
    names = readdirSync(POLICY_FOLDER).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if (codeOf(error) !== "ENOENT")
      return errorOf({ file: POLICY_FOLDER, message: `cannot be read: ${messageOf(error)}`, fix: undefined });
  }
  if (names.length > 0) return names.sort().map((name) => `${POLICY_FOLDER}/${name}`);
  if (!mustBeSigned) return ["base"];
  return errorOf({
    file: POLICY_FOLDER,
    message: "has no policy, and with policy_keys one must be there",
    fix: "put the signed policy back; for the embedded role write `policies: [base]` into config.yaml",
  });
}
