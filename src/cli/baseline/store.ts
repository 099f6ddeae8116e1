// The files of the baseline in the state directory: only root writes them, whole or not at all.
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import {
  type BaselineFile,
  type FileError,
  formatBaseline,
  type Header,
  parseBaseline,
} from "../../baseline/baseline-file.ts";
import { type BaselineEntry, mergeEntries } from "../../baseline/entry.ts";
import { type Exclusion, Exclusions, formatExclusions, parseExclusions } from "../../baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE, LEARNING_STATE, OF_ROLES } from "../../baseline/file-names.ts";
import { type LearningState, parseState } from "../../baseline/learning-state.ts";
import { printable } from "../../linux/text.ts";
import { compileTreeGlob } from "../../policy/glob.ts";
import { parseShippedList } from "../../policy/role-baseline.ts";
import { digestOf } from "../../policy/signature.ts";
import { codeOf, messageOf } from "../../vocabulary/errors.ts";
import { CommandError, type ExitCode, exitCodes, hint, warn } from "../output.ts";

/** Larger than the largest baseline that the parser takes. */
const SIZE_LIMIT = 1 << 30;

/** The content of a file; undefined if it is not there. Never waits, whatever lies at the path. */
export function readBytes(path: string): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw failure(`cannot read ${path}`, error);
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile() || found.size > SIZE_LIMIT)
      throw new CommandError(exitCodes.usage, `${path} is not a file that could be a baseline`);
    return readFileSync(fd);
  } catch (error) {
    throw error instanceof CommandError ? error : failure(`cannot read ${path}`, error);
  } finally {
    closeSync(fd);
  }
}

/** Puts `text` at `path`, by default for its owner's eyes alone: after a crash there is the old content or the new one. */
export function writeWhole(path: string, text: string, mode = 0o600): void {
  const aside = `${path}.${process.pid}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    rmSync(aside, { force: true });
    const fd = openSync(aside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(aside, path);
    const folder = openSync(dirname(path), constants.O_RDONLY);
    fsyncSync(folder);
    closeSync(folder);
  } catch (error) {
    throw failure(`cannot write ${path}`, error);
  }
}

function failure(what: string, error: unknown): CommandError {
  const code = codeOf(error);
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  const why = messageOf(error);
  const kind: ExitCode = denied ? exitCodes.notAllowed : exitCodes.usage;
  return new CommandError(kind, `${what}: ${why}`, denied ? "run it with sudo" : undefined);
}

function refuse(path: string, errors: readonly FileError[], fix?: string): CommandError {
  const lines = errors.map(({ line, message }) =>
    printable(line === 0 ? `${path}: ${message}` : `${path}:${line}: ${message}`),
  );
  return new CommandError(exitCodes.usage, lines.join("\ntreewarden: "), fix);
}

/** A baseline out of a file that somebody named. `edited`: its digest line may be missing. */
export function readBaselineFile(path: string, edited = false): BaselineFile {
  const bytes = readBytes(path);
  if (bytes === undefined) throw new CommandError(exitCodes.usage, `there is no ${path}`);
  const result = parseBaseline(bytes, edited);
  if (result.ok) return result.value;
  throw refuse(
    path,
    result.errors,
    edited
      ? "if it was edited by hand, delete its digest line and import it"
      : "if it was edited by hand, delete its digest line and run: treewarden baseline import FILE",
  );
}

/** The baseline in force; undefined if there is none. */
export function readInForce(stateDirectory: string): BaselineFile | undefined {
  const path = join(stateDirectory, IN_FORCE);
  const bytes = readBytes(path);
  if (bytes === undefined) return undefined;
  const result = parseBaseline(bytes);
  if (result.ok) return result.value;
  throw refuse(path, result.errors, "restore it from a copy, or learn again");
}

/** What comes with the roles that the running warden, or the last one, judges by. */
function readOfRoles(stateDirectory: string): readonly BaselineFile[] {
  const bytes = readBytes(join(stateDirectory, OF_ROLES));
  const list = bytes === undefined ? [] : (parseShippedList(new TextDecoder().decode(bytes)) ?? []);
  return list.flatMap(({ file, digest }) => {
    const content = readBytes(file);
    if (content === undefined || digestOf(content) !== digest) {
      warn(printable(`${file} was changed since treewarden loaded it, and is left out`));
      hint("load it: systemctl reload treewarden");
      return [];
    }
    const result = parseBaseline(content);
    if (result.ok) return [result.value];
    throw refuse(file, result.errors);
  });
}

/** All that is known: the baseline in force, and what comes with the roles; undefined if there is neither. */
export function readKnown(stateDirectory: string): readonly BaselineEntry[] | undefined {
  const own = readInForce(stateDirectory);
  const ofRoles = readOfRoles(stateDirectory);
  if (own === undefined && ofRoles.length === 0) return undefined;
  return mergeEntries([own?.entries ?? [], ...ofRoles.map(({ entries }) => entries)], false);
}

export function writeInForce(stateDirectory: string, file: BaselineFile): void {
  writeWhole(join(stateDirectory, IN_FORCE), formatBaseline(file));
}

/** What stands in the file of exclusions; nothing if there is none. */
export function readExclusions(stateDirectory: string): readonly Exclusion[] {
  const path = join(stateDirectory, EXCLUSIONS);
  const bytes = readBytes(path);
  if (bytes === undefined) return [];
  const result = parseExclusions(new TextDecoder().decode(bytes), compileTreeGlob);
  if (result.ok) return result.value;
  throw refuse(path, result.errors);
}

export function writeExclusions(stateDirectory: string, exclusions: readonly Exclusion[]): void {
  writeWhole(join(stateDirectory, EXCLUSIONS), formatExclusions(exclusions));
}

export function compiledExclusions(exclusions: readonly Exclusion[]): Exclusions {
  return new Exclusions(exclusions, compileTreeGlob);
}

/** How far the warden's learning is; undefined if it never learned. */
export function readLearning(stateDirectory: string): LearningState | undefined {
  const bytes = readBytes(join(stateDirectory, LEARNING_STATE));
  return bytes === undefined ? undefined : parseState(new TextDecoder().decode(bytes));
}

/** A header over entries: what was learned, and since when. */
export function headerOf(
  entries: readonly BaselineEntry[],
  hosts: readonly string[],
  role: string | undefined,
  now: number,
): Header {
  let learnedFrom = now;
  let learnedTo = 0;
  for (const { first, last } of entries) {
    learnedFrom = Math.min(learnedFrom, first);
    learnedTo = Math.max(learnedTo, last);
  }
  return { role, hosts, created: now, learnedFrom, learnedTo: Math.max(learnedFrom, learnedTo) };
}
