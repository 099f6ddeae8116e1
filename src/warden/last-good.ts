// What was last in force: the configuration, and copies of every file that it and the policies were read from. A warden
// that is restarted goes on with it, and a service that starts with broken files begins with it.
import { join } from "node:path";
import * as v from "valibot";
import type { Config } from "../config/config.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import type { ConfigurationOrigin } from "./warden-options.ts";

const FILE = "last-good.json";
/** In bytes: copies of all files, of which role baselines may have 32 MiB each. */
const FILE_LIMIT = 256 << 20;

const text = v.string();
const saved = v.strictObject({
  version: v.literal(1),
  /** The run in which it was put into force. */
  run: text,
  /** When: milliseconds since the epoch. */
  sinceMs: v.pipe(v.number(), v.finite()),
  origin: v.strictObject({ file: v.nullable(text), digest: v.nullable(text), why: v.nullable(text) }),
  /** The policies by role or file. */
  policies: v.array(text),
  /** Path and content in Base64. */
  files: v.array(v.tuple([text, text])),
  /** Why the files on disk are not in force; empty if they are. */
  problems: v.array(text),
  /** The settings as they were read, options of the command line included; see `afterReload` for those in force. */
  config: v.custom<Config>((value) => typeof value === "object" && value !== null && !Array.isArray(value)),
});

/** Settings that a reload puts into force; `src/config/settings.ts` says the same. Commands read `pause` by themselves. */
export const reloadedSettings = [
  "enforcement",
  "armed",
  "armed_since_hours",
  "policies",
  "policy_keys",
  "pause",
  "network",
] as const satisfies readonly (keyof Config)[];

/** Its `config` is only to be used in the run that has saved it: another version may have other settings. */
export type LastGood = Readonly<Omit<v.InferOutput<typeof saved>, "version">>;

export function lastGoodPath(stateDirectory: string): string {
  return join(stateDirectory, FILE);
}

export function formatLastGood(of: LastGood): string {
  return `${JSON.stringify({ version: 1, ...of })}\n`;
}

/** What was last in force on this state directory; undefined if nothing was, or another user can have written it. */
export function readLastGood(stateDirectory: string): LastGood | undefined {
  const bytes = readCheckedFileOrNothing(lastGoodPath(stateDirectory), stateFile(FILE_LIMIT));
  const parsed = bytes && parseJson(saved, bytes.toString("utf8"));
  if (parsed === undefined) return undefined;
  const { version: _version, ...kept } = parsed;
  return kept;
}

/** Where the configuration of `kept` comes from. */
export function originOf({ origin }: LastGood): ConfigurationOrigin {
  const { file, digest, why } = origin;
  return { file: file ?? undefined, digest: digest ?? undefined, why: why ?? undefined };
}

/** The configuration by whose settings a warden of this run gets its rights: what is in force, else the run's own. */
export function configInForce(run: string, config: Config): Config {
  const kept = readLastGood(config.state_directory);
  return kept?.run === run ? afterReload(config, kept.config) : config;
}

/**
 * What is in force of `read` in a run that was started with `start`, also in a warden that starts later: every other
 * setting waits for the next start of the run.
 */
export function afterReload(start: Config, read: Config): Config {
  const config = { ...start };
  for (const name of reloadedSettings) copySetting(name, read, config);
  return config;
}

function copySetting<Name extends keyof Config>(name: Name, from: Config, to: Config): void {
  to[name] = from[name];
}
