// The files of the baseline in the state directory: only root writes them, whole or not at all.
import { hostname } from "node:os";
import { join } from "node:path";
import { Baseline } from "../../baseline/baseline.ts";
import {
  type BaselineFile,
  type FileError,
  formatBaseline,
  type Header,
  parseBaseline,
} from "../../baseline/baseline-file.ts";
import { comparedPath } from "../../baseline/compared-path.ts";
import { hasNewContent } from "../../baseline/contents.ts";
import { type BaselineEntry, mergeEntries } from "../../baseline/entry.ts";
import {
  EXCLUSIONS_LIMIT,
  type Exclusion,
  Exclusions,
  formatExclusions,
  parseExclusions,
} from "../../baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE, LEARNING_STATE, OF_ROLES } from "../../baseline/file-names.ts";
import { type LearningState, parseState } from "../../baseline/learning-state.ts";
import { writeFileAtomic } from "../../linux/files.ts";
import { anyFile, type FileRules, readCheckedFile, stateFile } from "../../linux/root-file.ts";
import { codeOf } from "../../linux/system-error.ts";
import { unambiguous } from "../../linux/text.ts";
import { globCompilers } from "../../policy/glob.ts";
import { parseRoleBaselines } from "../../policy/role-baseline.ts";
import { digestOf } from "../../policy/signature.ts";
import { messageOf } from "../../vocabulary/errors.ts";
import { momentNow } from "../../warden/overrides-store.ts";
import { CommandError, type ExitCode, exitCodes, hint, warn } from "../output.ts";
import { nowSeconds } from "./entry-output.ts";

/** Larger than the largest baseline that the parser takes. */
const SIZE_LIMIT = 1 << 30;

/** The content of a file that a person named; undefined if it does not exist. Never waits, whatever lies at the path. */
export function readBytes(path: string): Uint8Array | undefined {
  return read(path, anyFile(SIZE_LIMIT), "so it cannot be a baseline");
}

/** The content of a file in the state directory; undefined if it does not exist. Throws if others can have written it. */
function readStateFile(path: string): Uint8Array | undefined {
  return read(path, stateFile(SIZE_LIMIT), "so nothing in it counts");
}

function read(path: string, rules: FileRules, conclusion: string): Uint8Array | undefined {
  const content = readCheckedFile(path, rules);
  if (content.ok) return content.bytes;
  const { kind, cause, reason, fix } = content.problem;
  if (kind === "missing") return undefined;
  if (cause !== undefined) throw failure(`cannot read ${path}`, cause);
  throw new CommandError(exitCodes.usage, `${path} ${reason}, ${conclusion}`, fix);
}

/** `writeFileAtomic`, whose errors become CommandErrors. */
export function writeWhole(path: string, text: string, mode?: number): void {
  try {
    writeFileAtomic(path, text, mode);
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

/** The error that lists these errors of a file. */
export function refusedFile(path: string, errors: readonly FileError[], fix?: string): CommandError {
  const lines = errors.map(({ line, message }) =>
    line === 0 ? `${path}: ${message}` : `${path}:${line}: ${message}`,
  );
  return new CommandError(exitCodes.usage, lines, fix);
}

/** Reads a baseline from a file that a person named. `edited`: its digest line may be missing. */
export function readBaselineFile(path: string, edited = false): BaselineFile {
  const bytes = readBytes(path);
  if (bytes === undefined) throw new CommandError(exitCodes.usage, `there is no ${path}`);
  const result = parseBaseline(bytes, edited);
  if (result.ok) return result.value;
  throw refusedFile(
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
  const bytes = readStateFile(path);
  if (bytes === undefined) return undefined;
  const result = parseBaseline(bytes);
  if (result.ok) return result.value;
  throw refusedFile(path, result.errors, "restore it from a copy, or learn again");
}

/** The baselines of the roles by which the running warden judges, or the last one judged. */
function readOfRoles(stateDirectory: string): readonly BaselineFile[] {
  const bytes = readStateFile(join(stateDirectory, OF_ROLES));
  const list = bytes === undefined ? [] : (parseRoleBaselines(new TextDecoder().decode(bytes)) ?? []);
  return list.flatMap(({ file, digest }) => {
    const content = readBytes(file);
    if (content === undefined || digestOf(content) !== digest) {
      warn(`${file} was changed since treewarden loaded it, and is left out`);
      hint("load it: treewarden reload");
      return [];
    }
    const result = parseBaseline(content);
    if (result.ok) return [result.value];
    throw refusedFile(file, result.errors);
  });
}

/** The entries of the baseline in force and of the roles' baselines; undefined if there is neither. */
export function readKnown(stateDirectory: string): readonly BaselineEntry[] | undefined {
  const own = readInForce(stateDirectory);
  const ofRoles = readOfRoles(stateDirectory);
  if (own === undefined && ofRoles.length === 0) return undefined;
  return mergeEntries([own?.entries ?? [], ...ofRoles.map(({ entries }) => entries)], false);
}

/** A baseline to look trees up in. */
export function baselineOf(entries: Iterable<BaselineEntry>): Baseline {
  const baseline = new Baseline();
  for (const entry of entries) baseline.add(entry);
  return baseline;
}

/** Whether the tree is unknown, or runs a content that nobody has accepted. */
export function isNewTo(known: Baseline, entry: BaselineEntry): boolean {
  return !known.knows(entry) || hasNewContent(entry.contents, known.contentsOf(comparedPath(entry.path)));
}

export function writeInForce(stateDirectory: string, file: BaselineFile): void {
  writeWhole(join(stateDirectory, IN_FORCE), formatBaseline(file));
}

/**
 * A baseline with `added` entries; `role` replaces its role if it is given. `learning`: the learning run that they are
 * from, in which the host was watched.
 */
export function mergedFile(
  before: BaselineFile | undefined,
  added: readonly BaselineEntry[],
  role: string | undefined,
  learning?: Pick<LearningState, "started" | "ended">,
): BaselineFile {
  const entries = mergeEntries([before?.entries ?? [], added], false);
  const hosts = [...new Set([...(before?.header.hosts ?? []), unambiguous(hostname())])].sort();
  const now = nowSeconds();
  const header = headerOf(entries, hosts, role ?? before?.header.role, now);
  if (learning === undefined) return { header, entries };
  const learnedFrom = Math.min(header.learnedFrom, learning.started);
  return {
    header: { ...header, learnedFrom, learnedTo: Math.max(header.learnedTo, learning.ended ?? now) },
    entries,
  };
}

/** The exclusions in the file; none if there is no file. */
export function readExclusions(stateDirectory: string): readonly Exclusion[] {
  const path = join(stateDirectory, EXCLUSIONS);
  const bytes = readStateFile(path);
  if (bytes === undefined) return [];
  const result = parseExclusions(new TextDecoder().decode(bytes), globCompilers);
  if (result.ok) return result.value;
  throw refusedFile(path, result.errors);
}

/** Adds exclusions to the file. Throws a CommandError if they would be more than are allowed. */
export function appendExclusions(stateDirectory: string, added: readonly Exclusion[]): void {
  replaceExclusions(stateDirectory, [...readExclusions(stateDirectory), ...added]);
}

/** Replaces all exclusions. Throws a CommandError if they are more than are allowed. */
export function replaceExclusions(stateDirectory: string, exclusions: readonly Exclusion[]): void {
  if (exclusions.length > EXCLUSIONS_LIMIT)
    throw new CommandError(
      exitCodes.usage,
      `more than ${EXCLUSIONS_LIMIT} exclusions are not allowed`,
      "remove those that have ended: treewarden baseline exclude remove --ended",
    );
  writeWhole(join(stateDirectory, EXCLUSIONS), formatExclusions(exclusions));
}

/** The exclusions, compiled for lookups; those that have ended hide nothing. */
export function compiledExclusions(exclusions: readonly Exclusion[]): Exclusions {
  const compiled = new Exclusions(exclusions, globCompilers);
  compiled.end(momentNow());
  return compiled;
}

/** The state of the warden's learning; undefined if it never learned. */
export function readLearning(stateDirectory: string): LearningState | undefined {
  const bytes = readStateFile(join(stateDirectory, LEARNING_STATE));
  return bytes === undefined ? undefined : parseState(new TextDecoder().decode(bytes));
}

/** The header of a file with these entries, which says when they were learned. */
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
