// Which policy a command means: those that were named, else all of /etc/treewarden/policies, else the role `base`.
import type { KeyObject } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { printable } from "../linux/text.ts";
import { formatPolicyError, type PolicyError } from "../policy/document.ts";
import { embeddedPolicies } from "../policy/embedded.ts";
import {
  type LoadedRoles,
  type LoadResult,
  loadPolicies,
  POLICY_FOLDER,
  type PolicySources,
} from "../policy/load.ts";
import { codeOf } from "../vocabulary/errors.ts";
import { readPublicKey, verifierOf } from "./keys.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";

export const policySources: PolicySources = {
  read(path, limit) {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch (error) {
      const code = codeOf(error);
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw error;
    }
    try {
      if (fstatSync(fd).size > limit) throw new Error(`larger than ${limit} bytes`);
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  },
  embedded: embeddedPolicies,
  searchPath: [POLICY_FOLDER],
};

/** A policy without errors, the baselines that come with its roles, and when each role was signed. */
export type LoadedPolicies = Pick<LoadedRoles, "policy" | "baselines" | "signed">;

export type PolicySettingsResult =
  | ({ readonly ok: true } & LoadedPolicies)
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/** What the configuration says about policies. */
export interface PolicySettings {
  readonly policies?: readonly string[] | undefined;
  readonly policy_keys: readonly string[];
}

/**
 * The policies that were named (roles or files), else what is installed. Where there are keys, only what is signed;
 * `inForce`: when that which is in force was signed, by role.
 */
export function loadSettings(
  { policies, policy_keys }: PolicySettings,
  inForce: ReadonlyMap<string, number> = new Map(),
): PolicySettingsResult {
  const names = policies ?? installed();
  if (policy_keys.length === 0) return resultOf(loadPolicies(names, policySources));
  const keys: KeyObject[] = [];
  const errors: PolicyError[] = [];
  for (const file of policy_keys) {
    const key = readPublicKey(file, true);
    if ("message" in key) errors.push({ ...key, line: 0, column: 0 });
    else keys.push(key);
  }
  if (errors.length > 0) return { ok: false, errors };
  const trust = { verify: verifierOf(keys), newest: inForce };
  return resultOf(loadPolicies(names, { ...policySources, trust }));
}

function resultOf(result: LoadResult): PolicySettingsResult {
  return result.policy === undefined ? { ok: false, errors: result.errors } : { ok: true, ...result };
}

/** Tells every mistake with its place and fix, and throws a CommandError. */
export function policyOrError(settings: PolicySettings): PolicySettingsResult & { readonly ok: true } {
  const result = loadSettings(settings);
  if (result.ok) return result;
  tellPolicyErrors(result.errors);
  const count = result.errors.length;
  throw new CommandError(
    exitCodes.usage,
    `the policy has ${count === 1 ? "an error" : `${count} errors`}; nothing was changed`,
  );
}

export function tellPolicyErrors(errors: readonly PolicyError[]): void {
  for (const error of errors) {
    warn(printable(formatPolicyError(error)));
    if (error.fix !== undefined) hint(printable(error.fix));
  }
}

function installed(): readonly string[] {
  let names: string[] = [];
  try {
    names = readdirSync(POLICY_FOLDER).filter((name) => name.endsWith(".json"));
  } catch {
    // No such folder: nothing is installed.
  }
  return names.length === 0 ? ["base"] : names.sort().map((name) => `${POLICY_FOLDER}/${name}`);
}
