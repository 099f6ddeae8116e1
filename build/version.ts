// The version of a build and its time, both of the commit, so that two builds of one commit agree.
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const repository = join(import.meta.dir, "..");

/** The text of `git ...` in the repository, undefined where there is no git, no repository or no answer. */
export function git(...args: string[]): string | undefined {
  try {
    const run = Bun.spawnSync(["git", "-C", repository, ...args], { stderr: "ignore" });
    return run.success ? run.stdout.toString().trim() : undefined;
  } catch {
    return undefined;
  }
}

/** The version in package.json. */
export function plainVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
  const has = typeof manifest === "object" && manifest !== null && "version" in manifest;
  if (!has || typeof manifest.version !== "string") throw new Error("package.json has no version");
  return manifest.version;
}

/** The commit with `.dirty` if tracked files differ from it; undefined at the tag of the version. */
export function commitAwayFromTag(version: string): string | undefined {
  const described = git("describe", "--always", "--dirty=.dirty", "--abbrev=12", "--match", `v${version}`);
  if (described === undefined || described === `v${version}`) return undefined;
  return described.replace(/^v.*-g/, "");
}

/** The version of package.json; away from its tag `v<version>` also the commit (build metadata of Semantic Versioning). */
export function buildVersion(): string {
  const version = plainVersion();
  const commit = commitAwayFromTag(version);
  return commit === undefined ? version : `${version}+${commit}`;
}

/**
 * The time that stands in everything that is built, in seconds since the epoch: SOURCE_DATE_EPOCH
 * (reproducible-builds.org), else the time of the commit. Throws if there is neither.
 */
export function sourceTime(): number {
  const text = process.env.SOURCE_DATE_EPOCH ?? git("log", "-1", "--format=%ct");
  if (text === undefined || !/^\d{1,10}$/.test(text))
    throw new Error("SOURCE_DATE_EPOCH must be a number of seconds where there is no git repository");
  return Number(text);
}
