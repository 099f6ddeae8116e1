// Makes dist/treewarden, one executable file for this host. With --if-needed only when something it is made of
// is newer than the file that is there.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runtimeOptions } from "../src/supervisor/runtime-options.ts";
import { addEntryStub } from "./entry-stub.ts";

const root = join(import.meta.dir, "..");
const binary = join(root, "dist/treewarden");
const madeOf = [
  "src",
  "policies",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "build/compile.ts",
  "build/entry-stub.ts",
];

function text(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The text of `git ...` in the repository, undefined where there is no git, no repository or no answer. */
function git(...args: string[]): string | undefined {
  try {
    const run = Bun.spawnSync(["git", "-C", root, ...args], { stderr: "ignore" });
    return run.success ? run.stdout.toString().trim() : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The version of package.json; away from its tag `v<version>` also the commit, and `.dirty` if tracked files differ
 * from it (build metadata of Semantic Versioning 2.0.0). Depends on the tree alone: two builds of one commit agree.
 */
function version(): string {
  const manifest: unknown = JSON.parse(text("package.json"));
  const has = typeof manifest === "object" && manifest !== null && "version" in manifest;
  if (!has || typeof manifest.version !== "string") throw new Error("package.json has no version");
  const described = git(
    "describe",
    "--always",
    "--dirty=.dirty",
    "--abbrev=12",
    "--match",
    `v${manifest.version}`,
  );
  if (described === undefined || described === `v${manifest.version}`) return manifest.version;
  return `${manifest.version}+${described.replace(/^v.*-g/, "")}`;
}

/** The first path at or below `path` that changed after `time` (ms); a folder's own time tells what was deleted. */
function newerThan(time: number, path: string): string | undefined {
  const at = statSync(join(root, path), { throwIfNoEntry: false });
  if (at === undefined) return undefined;
  if (at.mtimeMs > time) return path;
  if (!at.isDirectory()) return undefined;
  for (const name of readdirSync(join(root, path))) {
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

function compile(): number {
  // The file's name becomes part of it, so it is made under its own name in a folder aside; the rename leaves a
  // running treewarden its old file and lets two builds at once both end well.
  const aside = join(root, `dist/.building-${process.pid}`);
  mkdirSync(aside, { recursive: true });
  // Split, so that each process loads its own code only: 2 MB of private memory for each of them.
  const flags = [
    "--compile",
    "--splitting",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--compile-jit-policy=100",
  ];
  // Variables of the runtime in the environment are no flag's matter: see entry-stub.ts.
  const nothingFromTheFolderItRunsIn = ["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"];
  const define = ["--define", `TREEWARDEN_VERSION=${JSON.stringify(version())}`];
  const files = [join(root, "src/main.ts"), "--outfile", join(aside, "treewarden")];
  try {
    const run = Bun.spawnSync(
      [process.execPath, "build", ...flags, ...nothingFromTheFolderItRunsIn, ...define, ...files],
      { cwd: aside, stdout: "ignore", stderr: "inherit" },
    );
    if (!run.success) return run.exitCode;
    const made = join(aside, "treewarden");
    // Overwrites the contents only: the file keeps its mode.
    writeFileSync(made, addEntryStub(readFileSync(made), runtimeOptions));
    renameSync(made, binary);
    return 0;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

const why = reason();
if (why === undefined) {
  console.error("build: dist/treewarden is up to date");
} else {
  console.error(`build: making dist/treewarden (${why})`);
  const start = performance.now();
  process.exitCode = compile();
  const outcome = process.exitCode === 0 ? "done" : "failed";
  console.error(
    `build: ${outcome} in ${((performance.now() - start) / 1000).toFixed(1)} s, version ${version()}`,
  );
}
