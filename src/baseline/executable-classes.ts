// Which executables of one program a baseline takes for the same: a script is known below any packaged interpreter of
// its interpreter's family, anything else by its executable's path.

import { identify } from "../fingerprint/identify.ts";
import { directoryOf, mergedPath, nameOf, USER_MOUNTS } from "../fingerprint/path.ts";
import { interpreterFamilies } from "../fingerprint/program-kinds.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { unambiguous, undoUnambiguous } from "../linux/text.ts";
import { comparedPath } from "./compared-path.ts";
import type { Executable } from "./executables.ts";

/** Executables are the same if they have one of these in common. */
export type ExecutableClasses = readonly string[];

/** The class of a program that is its own executable. It is shared, because paths are compared separately. */
const itself: ExecutableClasses = [""];

/**
 * Where packages put interpreters. The package of a file is not known yet when it is executed, but only root can write
 * here; a file that no package owns has `process.executable.unpackaged`.
 */
const packageDirectories: ReadonlySet<string> = new Set(["/usr/bin", "/usr/sbin"]);
/** Where container images have interpreters: the official images of languages install theirs in /usr/local. */
const imageDirectories: ReadonlySet<string> = new Set([
  ...packageDirectories,
  "/usr/local/bin",
  "/usr/local/sbin",
]);

/** The classes of what a process runs, whose compared path is `path`; undefined if its executable could not be read. */
export function classesOfRunnable(
  { executable, foldedExecutable, folded }: Runnable,
  path: string,
  isImage: boolean,
): ExecutableClasses | undefined {
  if (executable === undefined || foldedExecutable === undefined) return undefined;
  if (foldedExecutable === folded) return itself;
  return classesOf(executable, comparedPath(unambiguous(foldedExecutable)), path, isImage);
}

/** The classes of a learned executable of an entry whose runnable path is `path`. */
export function classesOfLearned(executable: Executable, path: string, isImage: boolean): ExecutableClasses {
  // Most programs are their own executable, and folding one costs as much as naming it.
  if (executable.path === path) return itself;
  const raw = undoUnambiguous(executable.path) ?? executable.path;
  const compared = comparedPath(unambiguous(foldedExecutablePath(raw)));
  const classes = classesOf(raw, compared, comparedPath(path), isImage);
  // Nothing else of its family is the same as an interpreter that no package has installed.
  return executable.package === null ? classes.slice(0, 1) : classes;
}

/** An executable's path as it is compared with that of another one. */
export function comparedExecutable({ foldedExecutable }: Runnable): string | undefined {
  return foldedExecutable === undefined ? undefined : comparedPath(unambiguous(foldedExecutable));
}

/** `compared`, `path`: the executable and the runnable as they are compared. */
function classesOf(executable: string, compared: string, path: string, isImage: boolean): ExecutableClasses {
  if (compared === path) return itself;
  // Users choose which file is at such a path.
  if (path.startsWith(USER_MOUNTS)) return [compared];
  const directories = isImage ? imageDirectories : packageDirectories;
  if (!directories.has(directoryOf(mergedPath(executable)))) return [compared];
  return [compared, ...interpreterFamilies(nameOf(executable))];
}

/** The folded path of an executable that was run by this path. */
export function foldedExecutablePath(executable: string): string {
  const unknown = { filename: undefined, script: undefined, args: undefined, cwd: undefined };
  const isMemfd = executable.startsWith("memfd:");
  return identify({ executable, executableMemfd: isMemfd, ...unknown }).foldedExecutable ?? executable;
}
