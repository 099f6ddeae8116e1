// Exclusions: patterns, for example for maintenance, that keep unknown trees from raising an alarm. Only root writes
// the file. Because a pattern may be too broad, each has a reason, and commands can show what the patterns hide.

import { printable } from "../linux/text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { type FileError, type ParseResult, parseCount, parseTime, timeText } from "./baseline-file.ts";
import type { BaselineEntry } from "./entry.ts";
import { compareTexts } from "./key.ts";

/** One pattern. */
export interface Exclusion {
  /** A glob over the labels of the tree or of the exact tree, like the operator `tree` of policies. */
  readonly tree: string;
  /** Only lineages whose users are this one and perhaps root; undefined for any users. */
  readonly user: number | undefined;
  /** Only in this scope; undefined for any scope. */
  readonly scope: string | undefined;
  /** Seconds since the epoch when it ends; undefined if it never does. */
  readonly until: number | undefined;
  readonly reason: string;
}

/** Compiles a tree glob. Throws an Error that describes what is invalid. */
export type CompileGlob = (pattern: string) => (labels: readonly string[]) => boolean;

/** A tree that the baseline does not know, with the properties that exclusions test. */
export interface Excludable {
  readonly labels: readonly string[];
  readonly names: readonly string[];
  /** The labels of its habit. */
  readonly habitNames: readonly string[];
  readonly scope: string | undefined;
  /** Effective users of the lineage; undefined if one could not be read. */
  readonly users: readonly number[] | undefined;
}

const FORMAT = "treewarden-exclusions 1";
const COLUMNS = "# tree, user, scope, until, reason";
const FIELDS = 5;
/** Maximum number of exclusions, as each is tried on every unknown tree. */
export const EXCLUSIONS_LIMIT = 1_000;
const SIZE_LIMIT = 1 << 20;
const ROOT = 0;

/** The text of the file. */
export function formatExclusions(exclusions: readonly Exclusion[]): string {
  return [FORMAT, COLUMNS, ...exclusions.map(formatExclusion), ""].join("\n");
}

/** One exclusion as a line without its line feed. */
export function formatExclusion({ tree, user, scope, until, reason }: Exclusion): string {
  return [
    printable(tree),
    user ?? "-",
    scope ?? "*",
    until === undefined ? "-" : timeText(until),
    reason === "" ? "-" : printable(reason),
  ].join("\t");
}

/** Parses the file. The result has every error with its line; a file with an error is refused as a whole. */
export function parseExclusions(text: string, compile: CompileGlob): ParseResult<readonly Exclusion[]> {
  const lines = text.split("\n");
  if (text.length > SIZE_LIMIT || lines.length > EXCLUSIONS_LIMIT + 100)
    return { ok: false, errors: [{ line: 0, message: `more than ${EXCLUSIONS_LIMIT} exclusions` }] };
  if (lines[0] !== FORMAT)
    return { ok: false, errors: [{ line: 1, message: `the first line must be "${FORMAT}"` }] };
  const errors: FileError[] = [];
  const exclusions: Exclusion[] = [];
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line === "" || line.startsWith("#")) continue;
    const parsed = parseExclusion(line.split("\t"), compile);
    if (typeof parsed === "string") errors.push({ line: index + 1, message: parsed });
    else exclusions.push(parsed);
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: exclusions };
}

/** An exclusion from its columns; a string result is an error message. */
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
  const namesLabel = tree.split("/").some((label) => label !== "" && !/^[*]+$/.test(label));
  return namesLabel ? undefined : "it fits every tree: name at least one label";
}

interface Compiled {
  readonly exclusion: Exclusion;
  readonly matches: (labels: readonly string[]) => boolean;
}

/** Compiled exclusions. */
export class Exclusions {
  private readonly compiled: readonly Compiled[];

  constructor(exclusions: readonly Exclusion[], compile: CompileGlob) {
    this.compiled = exclusions.map((exclusion) => ({ exclusion, matches: compile(exclusion.tree) }));
  }

  get size(): number {
    return this.compiled.length;
  }

  /** When the next exclusion ends after `second` (both in seconds since the epoch); undefined if none does. */
  nextEnd(second: number): number | undefined {
    let next: number | undefined;
    for (const { exclusion } of this.compiled) {
      const { until } = exclusion;
      if (until !== undefined && until > second && (next === undefined || until < next)) next = until;
    }
    return next;
  }

  /** The first exclusion that hides the tree at `second` (since the epoch); undefined if no exclusion does. */
  hides(tree: Excludable, second: number): Exclusion | undefined {
    for (const { exclusion, matches } of this.compiled) {
      if (exclusion.until !== undefined && second >= exclusion.until) continue;
      if (exclusion.scope !== undefined && exclusion.scope !== tree.scope) continue;
      if (exclusion.user !== undefined && !isOnly(tree.users, exclusion.user)) continue;
      if (matches(tree.labels) || matches(tree.names) || matches(tree.habitNames)) return exclusion;
    }
    return undefined;
  }
}

/** Whether the lineage has the user and no others except root, who starts every session. */
function isOnly(users: readonly number[] | undefined, user: number): boolean {
  return users?.includes(user) === true && users.every((id) => id === user || id === ROOT);
}

/** An entry with the properties that a live process of this tree would have. */
export function excludable(entry: BaselineEntry): Excludable {
  return {
    labels: labelsOf(entry.tree).filter((label, index) => index > 0 || label !== "random"),
    names: labelsOf(entry.exact),
    habitNames: labelsOf(entry.habit),
    scope: entry.scope,
    users: entry.users.length === 0 ? undefined : entry.users,
  };
}

/** The labels of a tree's text. */
function labelsOf(tree: string): readonly string[] {
  return tree === "/" ? [] : tree.slice(1).split("/");
}

/** The unknown trees that exclusions hide at `second`, each with the first exclusion that hides it. */
export function hiddenBy(
  exclusions: Exclusions,
  unknown: Iterable<BaselineEntry>,
  second: number,
): readonly { readonly entry: BaselineEntry; readonly exclusion: Exclusion }[] {
  const hidden: { entry: BaselineEntry; exclusion: Exclusion }[] = [];
  for (const entry of unknown) {
    const exclusion = exclusions.hides(excludable(entry), second);
    if (exclusion !== undefined) hidden.push({ entry, exclusion });
  }
  return hidden.sort((a, b) => compareTexts(a.exclusion.tree, b.exclusion.tree));
}
