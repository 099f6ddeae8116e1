// Exclusions: patterns for maintenance, under which a tree that the baseline does not know raises no alarm. The file
// is root's. Too broad a pattern is the danger, so each says why it is there, and what they hide can be shown.

import { printable } from "../linux/text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { type FileError, type ParseResult, parseCount, parseTime, timeText } from "./baseline-file.ts";
import type { BaselineEntry } from "./entry.ts";
import { compareTexts } from "./key.ts";

export interface Exclusion {
  /** A glob over the labels of the tree or of the exact tree, as policies' `tree` has it. */
  readonly tree: string;
  /** Only lineages in which nobody but root and this user acts; undefined: whoever. */
  readonly user: number | undefined;
  /** Only in this scope; undefined: anywhere. */
  readonly scope: string | undefined;
  /** Seconds since the epoch; undefined: for good. */
  readonly until: number | undefined;
  readonly reason: string;
}

/** Compiles a tree glob; throws an Error whose message says what is wrong with it. */
export type CompileGlob = (pattern: string) => (labels: readonly string[]) => boolean;

/** What is asked: a tree that the baseline does not know. */
export interface Excludable {
  readonly labels: readonly string[];
  readonly names: readonly string[];
  readonly scope: string | undefined;
  /** Effective users of the lineage; undefined if one could not be read. */
  readonly users: readonly number[] | undefined;
}

const FORMAT = "treewarden-exclusions 1";
const COLUMNS = "# tree, user, scope, until, reason";
const FIELDS = 5;
/** Each is tried on every unknown tree. */
export const EXCLUSIONS_LIMIT = 1_000;
const SIZE_LIMIT = 1 << 20;
const ROOT = 0;

export function formatExclusions(exclusions: readonly Exclusion[]): string {
  const lines = exclusions.map(({ tree, user, scope, until, reason }) =>
    [
      printable(tree),
      user ?? "-",
      scope ?? "*",
      until === undefined ? "-" : timeText(until),
      reason === "" ? "-" : printable(reason),
    ].join("\t"),
  );
  return [FORMAT, COLUMNS, ...lines, ""].join("\n");
}

/** Every mistake is told with its line; a file with one is refused as a whole. */
export function parseExclusions(text: string, compile: CompileGlob): ParseResult<readonly Exclusion[]> {
  const lines = text.split("\n");
  if (text.length > SIZE_LIMIT || lines.length > EXCLUSIONS_LIMIT + 100)
    return { ok: false, errors: [{ line: 0, message: `more than ${EXCLUSIONS_LIMIT} exclusions` }] };
  if (lines[0] !== FORMAT)
    return { ok: false, errors: [{ line: 1, message: `the first line must be "${FORMAT}"` }] };
  const errors: FileError[] = [];
  const exclusions: Exclusion[] = [];
  for (const [at, line] of lines.entries()) {
    if (at === 0 || line === "" || line.startsWith("#")) continue;
    const parsed = parseExclusion(line.split("\t"), compile);
    if (typeof parsed === "string") errors.push({ line: at + 1, message: parsed });
    else exclusions.push(parsed);
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: exclusions };
}

/** An exclusion out of its columns; a text says what is wrong with them. */
export function parseExclusion(fields: readonly string[], compile: CompileGlob): Exclusion | string {
  if (fields.length !== FIELDS)
    return `${fields.length} columns, separated by tabs, where ${FIELDS} belong: tree, user, scope, until, reason`;
  const [tree = "", userText = "", scope = "", untilText = "", reason = ""] = fields;
  if (fields.some((field) => field === "" || printable(field) !== field))
    return "an empty column, or one that is not printable";
  const problem = globProblem(tree, compile);
  if (problem !== undefined) return problem;
  const user = userText === "-" ? undefined : parseCount(userText);
  if (userText !== "-" && user === undefined) return `user "${userText}": expected a number, or - for any`;
  const until = untilText === "-" ? undefined : parseTime(untilText);
  if (untilText !== "-" && until === undefined)
    return `until "${untilText}": expected a time such as 2026-01-31T12:00:00Z, or - for good`;
  return {
    tree,
    user,
    scope: scope === "*" ? undefined : scope,
    until,
    reason: reason === "-" ? "" : reason,
  };
}

function globProblem(tree: string, compile: CompileGlob): string | undefined {
  try {
    compile(tree);
  } catch (error) {
    return messageOf(error);
  }
  const fixed = tree.split("/").some((label) => label !== "" && !/^[*]+$/.test(label));
  return fixed ? undefined : "it fits every tree: name at least one label";
}

interface Compiled {
  readonly exclusion: Exclusion;
  readonly fits: (labels: readonly string[]) => boolean;
}

/** Exclusions, ready to be asked. */
export class Exclusions {
  private readonly compiled: readonly Compiled[];

  constructor(exclusions: readonly Exclusion[], compile: CompileGlob) {
    this.compiled = exclusions.map((exclusion) => ({ exclusion, fits: compile(exclusion.tree) }));
  }

  get size(): number {
    return this.compiled.length;
  }

  /** When the next exclusion ends after `second` (both since 1970); undefined: none does. */
  nextEnd(second: number): number | undefined {
    let next: number | undefined;
    for (const { exclusion } of this.compiled) {
      const { until } = exclusion;
      if (until !== undefined && until > second && (next === undefined || until < next)) next = until;
    }
    return next;
  }

  /** The first exclusion that hides the tree at `second` (since the epoch); undefined if none does. */
  hides(asked: Excludable, second: number): Exclusion | undefined {
    for (const { exclusion, fits } of this.compiled) {
      if (exclusion.until !== undefined && second >= exclusion.until) continue;
      if (exclusion.scope !== undefined && exclusion.scope !== asked.scope) continue;
      if (exclusion.user !== undefined && !isOnly(asked.users, exclusion.user)) continue;
      if (fits(asked.labels) || fits(asked.names)) return exclusion;
    }
    return undefined;
  }
}

/** Whether the user acts in the lineage, and nobody else but root, who starts every session. */
function isOnly(users: readonly number[] | undefined, user: number): boolean {
  return users?.includes(user) === true && users.every((one) => one === user || one === ROOT);
}

/** An entry, as the live question would be asked of it. */
export function excludable(entry: BaselineEntry): Excludable {
  return {
    labels: labelsOf(entry.tree).filter((label, at) => at > 0 || label !== "random"),
    names: labelsOf(entry.exact),
    scope: entry.scope,
    users: entry.users.length === 0 ? undefined : entry.users,
  };
}

/** The labels of a tree's text. */
function labelsOf(tree: string): readonly string[] {
  return tree === "/" ? [] : tree.slice(1).split("/");
}

/** What exclusions hide of trees that the baseline does not know: each tree once, with the first pattern that hides it. */
export function hiddenBy(
  exclusions: Exclusions,
  unknown: Iterable<BaselineEntry>,
  second: number,
): readonly { readonly entry: BaselineEntry; readonly exclusion: Exclusion }[] {
  const found: { entry: BaselineEntry; exclusion: Exclusion }[] = [];
  for (const entry of unknown) {
    const exclusion = exclusions.hides(excludable(entry), second);
    if (exclusion !== undefined) found.push({ entry, exclusion });
  }
  return found.sort((a, b) => compareTexts(a.exclusion.tree, b.exclusion.tree));
}
