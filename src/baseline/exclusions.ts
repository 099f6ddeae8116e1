// Exclusions: patterns, for example for maintenance, that keep unknown trees from raising an alarm. Only root writes
// the file. Because a pattern may be too broad, each has a reason, and commands can show what the patterns hide.
// A change window is an exclusion that is bound to a program instead of to a pattern, and collects what it hides.

import type { Lineage } from "../forest/lineage.ts";
import { printable } from "../linux/text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { type End, type Moment, secondsUntil } from "../vocabulary/moment.ts";
import { type FileError, type ParseResult, parseTime, timeText } from "./baseline-file.ts";
import { type BelowProgram, belowProgram, type CompilePathGlob, programProblem } from "./below-program.ts";
import { compareTexts } from "./compare-texts.ts";
import type { BaselineEntry } from "./entry.ts";
import { PACKAGES } from "./package-managers.ts";
import { parseCount } from "./parse-count.ts";

/** The end by CLOCK_BOOTTIME. */
export type BootEnd = Omit<End, "wall">;

/** Makes an exclusion a change window. */
export interface Change {
  /** The name of the change, for example the number of a ticket. Several windows may have the same. */
  readonly id: string;
  /** Only what is below this program, see `BelowProgram`. */
  readonly under: string;
}

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
  /** When it ends if the clock is set; undefined if it has no end, or in a file that was written by hand. */
  readonly bootEnd: BootEnd | undefined;
  /** undefined: it is no change window. */
  readonly change: Change | undefined;
}

/** Compiles a tree glob. Throws an Error that describes what is invalid. */
export type CompileGlob = (pattern: string) => (labels: readonly string[]) => boolean;

/** Compiles the globs of exclusions. Each throws an Error that describes what is invalid. */
export interface GlobCompilers {
  readonly tree: CompileGlob;
  readonly path: CompilePathGlob;
}

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
const COLUMNS = "# tree, user, scope, until, reason, end by CLOCK_BOOTTIME, change, under";
/** A line of an exclusion without an end, or of one that a person wrote, ends after `reason`. */
const SHORT_FIELDS = 5;
const FIELDS = 8;
/** The pattern of a change window, which is bound to a program instead. */
export const ANY_TREE = "/**";
const changeId = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
/** Maximum number of exclusions, as each is tried on every unknown tree. */
export const EXCLUSIONS_LIMIT = 1_000;
const SIZE_LIMIT = 1 << 20;
const ROOT = 0;

/** The text of the file. */
export function formatExclusions(exclusions: readonly Exclusion[]): string {
  return [FORMAT, COLUMNS, ...exclusions.map(formatExclusion), ""].join("\n");
}

/** One exclusion as a line without its line feed. */
export function formatExclusion(exclusion: Exclusion): string {
  const { tree, user, scope, until, reason, bootEnd, change } = exclusion;
  const columns = [
    printable(tree),
    user ?? "-",
    scope ?? "*",
    until === undefined ? "-" : timeText(until),
    reason === "" ? "-" : printable(reason),
  ];
  if (bootEnd === undefined && change === undefined) return columns.join("\t");
  return [
    ...columns,
    bootEnd === undefined ? "-" : `${bootEnd.boot} ${bootEnd.boottime} ${bootEnd.length}`,
    change?.id ?? "-",
    change === undefined ? "-" : printable(change.under),
  ].join("\t");
}

/** Parses the file. The result has every error with its line; a file with an error is refused as a whole. */
export function parseExclusions(text: string, compilers: GlobCompilers): ParseResult<readonly Exclusion[]> {
  const lines = text.split("\n");
  if (text.length > SIZE_LIMIT || lines.length > EXCLUSIONS_LIMIT + 100)
    return { ok: false, errors: [{ line: 0, message: `more than ${EXCLUSIONS_LIMIT} exclusions` }] };
  if (lines[0] !== FORMAT)
    return { ok: false, errors: [{ line: 1, message: `the first line must be "${FORMAT}"` }] };
  const errors: FileError[] = [];
  const exclusions: Exclusion[] = [];
  for (const [index, line] of lines.entries()) {
    if (index === 0 || line === "" || line.startsWith("#")) continue;
    const parsed = parseExclusion(line.split("\t"), compilers);
    if (typeof parsed === "string") errors.push({ line: index + 1, message: parsed });
    else exclusions.push(parsed);
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: exclusions };
}

/** An exclusion from its columns, of which the last three may be missing; a string result is an error message. */
export function parseExclusion(fields: readonly string[], compilers: GlobCompilers): Exclusion | string {
  if (fields.length !== SHORT_FIELDS && fields.length !== FIELDS)
    return `${fields.length} columns, separated by tabs, where ${SHORT_FIELDS} or ${FIELDS} belong: tree, user, scope, until, reason, end by CLOCK_BOOTTIME, change, under`;
  const [tree = "", userText = "", scope = "", untilText = "", reason = "", ...rest] = fields;
  const [bootText = "-", id = "-", under = "-"] = rest;
  if (fields.some((field) => field === "" || printable(field) !== field))
    return "an empty column, or one that is not printable";
  const user = userText === "-" ? undefined : parseCount(userText);
  if (userText !== "-" && user === undefined) return `user "${userText}": expected a number, or - for any`;
  const until = untilText === "-" ? undefined : parseTime(untilText);
  if (untilText !== "-" && until === undefined)
    return `until "${untilText}": expected a time such as 2026-01-31T12:00:00Z, or - for good`;
  const bootEnd = bootText === "-" ? undefined : parseBootEnd(bootText);
  if (bootText !== "-" && bootEnd === undefined)
    return `end by CLOCK_BOOTTIME "${bootText}": expected the id of a boot, its second and the length, or -`;
  const change = id === "-" && under === "-" ? undefined : { id, under };
  const problem =
    change === undefined ? globProblem(tree, compilers.tree) : changeProblem(tree, until, change, compilers);
  if (problem !== undefined) return problem;
  return {
    tree,
    user,
    scope: scope === "*" ? undefined : scope,
    until,
    reason: reason === "-" ? "" : reason,
    bootEnd,
    change,
  };
}

function parseBootEnd(text: string): BootEnd | undefined {
  const [boot = "", boottimeText = "", lengthText = "", extra] = text.split(" ");
  const boottime = parseCount(boottimeText);
  const length = parseCount(lengthText);
  const isWhole = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(boot) && extra === undefined;
  return isWhole && boottime !== undefined && length !== undefined ? { boot, boottime, length } : undefined;
}

/** Why a change window is not valid; undefined if it is. */
function changeProblem(
  tree: string,
  until: number | undefined,
  { id, under }: Change,
  compilers: GlobCompilers,
): string | undefined {
  if (!changeId.test(id))
    return `change "${id}": expected at most 64 letters, digits, dots, colons, hyphens and underscores`;
  if (id === PACKAGES) return `change "${id}": this is what package managers start`;
  if (tree !== ANY_TREE) return `a change window must have the tree ${ANY_TREE}`;
  if (until === undefined) return "a change window must have an end";
  const problem = programProblem(under);
  if (problem !== undefined) return `under "${under}": ${problem}`;
  try {
    belowProgram(under, undefined, compilers.path);
    return undefined;
  } catch (error) {
    return `under "${under}": ${messageOf(error)}`;
  }
}

function globProblem(tree: string, compile: CompileGlob): string | undefined {
  try {
    compile(tree);
  } catch (error) {
    return messageOf(error);
  }
  const namesLabel = tree.split("/").some((label) => label !== "" && !/^[*]+$/.test(label));
  return namesLabel ? undefined : "it matches every tree: name at least one label";
}

interface Compiled {
  readonly exclusion: Exclusion;
  readonly matches: (labels: readonly string[]) => boolean;
  /** Only of a change window. */
  readonly below: BelowProgram | undefined;
  /** It has ended, and a clock that is set back does not open it again. */
  isOver: boolean;
}

/** Compiled exclusions. */
export class Exclusions {
  private readonly patterns: readonly Compiled[];
  private readonly windows: readonly Compiled[];

  constructor(exclusions: readonly Exclusion[], { tree, path }: GlobCompilers) {
    const compiled = exclusions.map((exclusion): Compiled => {
      const { change, user } = exclusion;
      const below = change === undefined ? undefined : belowProgram(change.under, user, path);
      return { exclusion, matches: tree(exclusion.tree), below, isOver: false };
    });
    this.patterns = compiled.filter(({ below }) => below === undefined);
    this.windows = compiled.filter(({ below }) => below !== undefined);
  }

  get size(): number {
    return this.patterns.length + this.windows.length;
  }

  /** All that have not ended, as of the last `end`. */
  get current(): readonly Exclusion[] {
    return [...this.patterns, ...this.windows]
      .filter(({ isOver }) => !isOver)
      .map(({ exclusion }) => exclusion);
  }

  /** Ends for good what ends by `now`. */
  end(now: Moment): void {
    for (const compiled of this.patterns) compiled.isOver ||= hasEnded(compiled.exclusion, now);
    for (const compiled of this.windows) compiled.isOver ||= hasEnded(compiled.exclusion, now);
  }

  /** Seconds from `now` until the next one ends; undefined if none does. */
  nextEndIn(now: Moment): number | undefined {
    return earlier(nextEnd(this.patterns, now), nextEnd(this.windows, now));
  }

  /** The first exclusion that hides the tree at `second` (since the epoch); undefined if no exclusion does. */
  hides(tree: Excludable, second: number): Exclusion | undefined {
    for (const { exclusion, matches, isOver } of this.patterns) {
      if (isOver || !appliesTo(exclusion, tree, second)) continue;
      if (matches(tree.labels) || matches(tree.names) || matches(tree.habitNames)) return exclusion;
    }
    return undefined;
  }

  /** The change in whose window the process of this lineage is at `second` (since the epoch); undefined: in none. */
  changeOf(lineage: Lineage, tree: Pick<Excludable, "scope" | "users">, second: number): Change | undefined {
    for (const { exclusion, below, isOver } of this.windows) {
      if (isOver || !appliesTo(exclusion, tree, second)) continue;
      if (below?.includes(lineage) === true) return exclusion.change;
    }
    return undefined;
  }
}

function nextEnd(compiled: readonly Compiled[], now: Moment): number | undefined {
  let next: number | undefined;
  for (const { exclusion, isOver } of compiled)
    if (!isOver) next = earlier(next, secondsLeft(exclusion, now));
  return next;
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);
}

/** Whether an exclusion has ended by `now`. */
export function hasEnded(exclusion: Exclusion, now: Moment): boolean {
  return (secondsLeft(exclusion, now) ?? 1) <= 0;
}

/** Undefined if it never ends. */
function secondsLeft({ until, bootEnd }: Exclusion, now: Moment): number | undefined {
  if (until === undefined) return undefined;
  return bootEnd === undefined ? until - now.wall : secondsUntil({ ...bootEnd, wall: until }, now);
}

function appliesTo(
  { until, scope, user }: Exclusion,
  tree: Pick<Excludable, "scope" | "users">,
  second: number,
): boolean {
  if (until !== undefined && second >= until) return false;
  if (scope !== undefined && scope !== tree.scope) return false;
  return user === undefined || isOnly(tree.users, user);
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
