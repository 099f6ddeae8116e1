// Which policy a command means: those that were named, else all of /etc/treewarden/policies, else the role `base`.
import { readdirSync, readFileSync } from "node:fs";
import { printable } from "../linux/text.ts";
import { formatPolicyError, type PolicyError } from "../policy/document.ts";
import { embeddedPolicies } from "../policy/embedded.ts";
import { loadPolicies, POLICY_FOLDER, type PolicySources } from "../policy/load.ts";
import type { Policy } from "../policy/policy.ts";
import { CommandError, exit, hint, warn } from "./voice.ts";

export const policySources: PolicySources = {
  read(path) {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw error;
    }
  },
  embedded: embeddedPolicies,
  searchPath: [POLICY_FOLDER],
};

export type PolicyResult =
  | { readonly ok: true; readonly policy: Policy }
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/** `named`: roles or files; undefined: what is installed. */
export function loadNamed(named: readonly string[] | undefined): PolicyResult {
  const result = loadPolicies(named ?? installed(), policySources);
  return result.policy === undefined
    ? { ok: false, errors: result.errors }
    : { ok: true, policy: result.policy };
}

/** Tells every mistake with its place and fix, and throws a CommandError. */
export function policyOrError(named: readonly string[] | undefined): Policy {
  const result = loadNamed(named);
  if (result.ok) return result.policy;
  tellPolicyErrors(result.errors);
  const count = result.errors.length;
  throw new CommandError(
    exit.usage,
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
