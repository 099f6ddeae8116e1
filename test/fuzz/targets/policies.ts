// Files that root names and others may have written: policies, signatures, baselines, exclusions, configuration.
import { parseBaseline } from "../../../src/baseline/baseline-file.ts";
import { parseExclusions } from "../../../src/baseline/exclusions.ts";
import { openReleaseSignature } from "../../../src/cli/release/statement.ts";
import { parseConfig } from "../../../src/config/config-file.ts";
import { formatPolicyError } from "../../../src/policy/document.ts";
import { embeddedPolicies } from "../../../src/policy/embedded.ts";
import { globCompilers } from "../../../src/policy/glob.ts";
import { loadPolicies } from "../../../src/policy/load.ts";
import { runTests } from "../../../src/policy/run-tests.ts";
import { openSignature } from "../../../src/policy/signature.ts";
import { bytesOf } from "../corpus.ts";
import { type FuzzTarget, latin1, sizeOf } from "../target.ts";

const NAME = "/fuzz/policy.json";

/** Loads the policy, and runs its tests if it has no error. */
export const policies: FuzzTarget = {
  name: "policies",
  parses: "a policy with its conditions, patterns and tests",
  weight: 1,
  words: [
    '{"var":"',
    '{"==":[',
    '"rules":[',
    '"extends":["base"]',
    '{"matches":[',
    '{"tree":"/**"}',
    '"tests":[',
  ],
  parse(input) {
    const file = bytesOf(input);
    const read = (path: string) => (path === NAME ? file : undefined);
    const loaded = loadPolicies([NAME], { read, embedded: embeddedPolicies, searchPath: [] });
    if (loaded.policy === undefined) return loaded.errors.map(formatPolicyError).join("").length;
    return sizeOf(loaded.policy.resolved.rules.length) + runTests(loaded.policy, loaded.role).length;
  },
};

export const signatures: FuzzTarget = {
  name: "signatures",
  parses:
    "the signature beside a policy or a release; every signature counts as right, so that the text is read",
  weight: 10,
  words: [
    "signed 2026-01-31T12:00:00Z\n",
    `policy shop sha256:${"0".repeat(64)}\n`,
    `file sha256:${"0".repeat(64)} treewarden.deb\n`,
    "treewarden-release-signature 1\n",
    "signature ",
  ],
  parse: (input) =>
    sizeOf(openSignature(input, () => true)) + (openReleaseSignature(input, () => true).ok ? 1 : 0),
};

export const baselines: FuzzTarget = {
  name: "baselines",
  parses: "a baseline, and a file of exclusions",
  weight: 6,
  words: ["\t", "\ncomplete\t", "entries 1\n", "/**", "digest sha256:"],
  parse(input) {
    const text = latin1(input);
    const parsed = parseBaseline(input, true);
    const entries = parsed.ok ? parsed.value.entries.length : parsed.errors.length;
    const exclusions = parseExclusions(text, globCompilers);
    return entries + sizeOf(exclusions.ok ? exclusions.value : exclusions.errors);
  },
};

export const configuration: FuzzTarget = {
  name: "configuration",
  parses: "config.yaml",
  weight: 0.5,
  words: ["policies: ", "otlp: { ", "&a ", "*a", "- ", "\n  ", "!!binary ", "? ", "<<: "],
  parse(input) {
    const result = parseConfig(latin1(input), "config.yaml");
    return result.ok ? 0 : result.errors.map(({ message }) => message).join("").length;
  },
};
