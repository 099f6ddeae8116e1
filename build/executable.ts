// Compiles treewarden into one executable file.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runtimeOptions } from "../src/supervisor/runtime-options.ts";
import { addEntryStub } from "./entry-stub.ts";
import { buildVersion, repository } from "./version.ts";

// Split, so that each process loads its own code only: 2 MB of private memory for each of them.
const flags = [
  "--compile",
  "--splitting",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--compile-jit-policy=100",
  // Variables of the runtime in the environment are no flag's matter: see entry-stub.ts.
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];

/** A processor other than this one, with the runtime to compile into the file. */
export interface CompileTarget {
  /** As `--target` of `bun build` names it. */
  readonly bunTarget: string;
  /** Path of the executable of Bun for it. */
  readonly runtime: string;
}

/**
 * Writes the executable to `path`, for this host unless `target` is given, from the sources in `root`. Returns false if
 * the compiler failed; it has then written its errors to standard error.
 */
export function compileExecutable(path: string, target?: CompileTarget, root: string = repository): boolean {
  // The file's name becomes part of it, so it is made under its own name in a folder aside; the rename leaves a
  // running treewarden its old file and lets two builds at once both end well.
  mkdirSync(dirname(path), { recursive: true });
  const aside = mkdtempSync(join(dirname(path), ".building-"));
  const made = join(aside, "treewarden");
  const forTarget =
    target === undefined
      ? []
      : [`--target=${target.bunTarget}`, `--compile-executable-path=${target.runtime}`];
  const define = ["--define", `TREEWARDEN_VERSION=${JSON.stringify(buildVersion())}`];
  const files = [join(root, "src/main.ts"), "--outfile", made];
  try {
    const run = Bun.spawnSync([process.execPath, "build", ...flags, ...forTarget, ...define, ...files], {
      cwd: aside,
      stdout: "ignore",
      stderr: "inherit",
    });
    if (!run.success) return false;
    // Overwrites the contents only: the file keeps its mode.
    writeFileSync(made, addEntryStub(readFileSync(made), runtimeOptions));
    renameSync(made, path);
    return true;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}
