// Makes dist/treewarden, one executable file for this host. With --if-needed only when something it is made of
// is newer than the file that is there.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { compileExecutable } from "./executable.ts";
import { buildVersion, repository } from "./version.ts";

const binary = join(repository, "dist/treewarden");
const madeOf = [
  "src",
  "policies",
  "docs/licenses.txt",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "build/compile.ts",
  "build/executable.ts",
  "build/version.ts",
  "build/entry-stub.ts",
];

/** The first path at or below `path` that changed after `time` (ms); a folder's own time tells what was deleted. */
function newerThan(time: number, path: string): string | undefined {
  const at = statSync(join(repository, path), { throwIfNoEntry: false });
  if (at === undefined) return undefined;
  if (at.mtimeMs > time) return path;
  if (!at.isDirectory()) return undefined;
  for (const name of readdirSync(join(repository, path))) {
    const found = newerThan(time, join(path, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Why the binary has to be made, undefined if it is up to date. */
function reason(): string | undefined {
  if (!process.argv.includes("--if-needed")) return "asked for";
  const built = statSync(binary, { throwIfNoEntry: false });
  if (built === undefined) return "there is none yet";
  for (const path of madeOf) {
    const newer = newerThan(built.mtimeMs, path);
    if (newer !== undefined) return `${newer} is newer`;
  }
  return undefined;
}

const why = reason();
if (why === undefined) {
  console.error("build: dist/treewarden is up to date");
} else {
  console.error(`build: making dist/treewarden (${why})`);
  const start = performance.now();
  process.exitCode = compileExecutable(binary) ? 0 : 1;
  const outcome = process.exitCode === 0 ? "done" : "failed";
  console.error(
    `build: ${outcome} in ${((performance.now() - start) / 1000).toFixed(1)} s, version ${buildVersion()}`,
  );
}
