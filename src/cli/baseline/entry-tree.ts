// Entries as a person reads them: below their unit, as a tree of labels, each with its count.
import type { Baseline } from "../../baseline/baseline.ts";
import { compareTexts } from "../../baseline/compare-texts.ts";
import type { BaselineEntry } from "../../baseline/entry.ts";
import { excludable } from "../../baseline/exclusions.ts";
import { scope } from "../../baseline/key.ts";
import { compileGlob, compileTreeGlob, GlobError } from "../../policy/glob.ts";
import { counted } from "../../vocabulary/counted.ts";
import type { OutputName } from "../../vocabulary/event-names.ts";
import { CommandError, exitCodes } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { entryFields, incompleteMark, jsonLine } from "./entry-output.ts";
import { isNewTo } from "./store.ts";

/** Options that select entries. */
export interface EntryFilterFlags {
  readonly unit?: string;
  readonly tree?: string;
  readonly new?: boolean;
}

/** The baseline to compare with; undefined if none is in force. */
export type InForce = Baseline | undefined;

/** A test for the entries that the options select. Throws a CommandError if an option's pattern is invalid. */
export function entryFilter(flags: EntryFilterFlags, known: InForce): (entry: BaselineEntry) => boolean {
  const isInUnit = flags.unit === undefined ? undefined : compiled("--unit", flags.unit, compileGlob);
  const hasTree = flags.tree === undefined ? undefined : treeMatcher("--tree", flags.tree);
  return (entry) =>
    (isInUnit === undefined || isInUnit(entry.scope)) &&
    (hasTree === undefined || hasTree(entry)) &&
    (flags.new !== true || known === undefined || isNewTo(known, entry));
}

/** A test whether a glob matches the tree, the exact tree or the habit of an entry, as the pattern of an exclusion does. */
export function treeMatcher(option: string, glob: string): (entry: BaselineEntry) => boolean {
  const matches = compiled(option, glob, compileTreeGlob);
  return (entry) => {
    const { labels, names, habitNames } = excludable(entry);
    return matches(labels) || matches(names) || matches(habitNames);
  };
}

function compiled<T>(option: string, glob: string, compile: (glob: string) => T): T {
  try {
    return compile(glob);
  } catch (error) {
    if (error instanceof GlobError) throw new CommandError(exitCodes.usage, `${option}: ${error.message}`);
    throw error;
  }
}

/** Sorted by scope, and parents before what they start. */
export function inTreeOrder(entries: readonly BaselineEntry[]): BaselineEntry[] {
  return entries
    .map((entry) => ({
      entry,
      // NUL is in no text of an entry, and less than any character that is: `/a/b` comes before `/a-b`.
      order: `${entry.scope}\0\0${entry.habit.replaceAll("/", "\0")}\0\0${entry.path}`,
    }))
    .sort((a, b) => compareTexts(a.order, b.order))
    .map(({ entry }) => entry);
}

/** `entries` as a listing: a tree for people, or one line of JSON each, whose event is `event`. */
export function entryListing(
  entries: readonly BaselineEntry[],
  known: InForce,
  format: OutputFormat,
  event: OutputName,
): string {
  const sorted = inTreeOrder(entries);
  if (format === "pretty") return entryTree(sorted, known);
  return sorted
    .map((entry) =>
      jsonLine(event, {
        ...entryFields(entry),
        "tree.known": known === undefined ? null : known.knows(entry),
      }),
    )
    .join("");
}

/** `entries` are in the order of `inTreeOrder`. */
function entryTree(entries: readonly BaselineEntry[], known: InForce): string {
  const lines: string[] = [];
  let unit: string | undefined;
  let above: readonly string[] = [];
  for (const entry of entries) {
    if (entry.scope !== unit) {
      unit = entry.scope;
      above = [];
      lines.push(unit === scope.none ? "no unit" : unit);
    }
    const labels = entry.habit.slice(1).split("/");
    let depth = 0;
    while (depth < labels.length - 1 && depth < above.length && labels[depth] === above[depth]) depth += 1;
    for (; depth < labels.length - 1; depth++) lines.push(`${indentOf(depth)}${labels[depth]}`);
    lines.push(`${indentOf(depth)}${labels[depth]}${factsOf(entry, known)}`);
    above = labels;
  }
  return lines.map((line) => `${line}\n`).join("");
}

function indentOf(depth: number): string {
  return "  ".repeat(depth + 1);
}

function factsOf(entry: BaselineEntry, known: InForce): string {
  const runs = entry.count === 1 ? "once" : `${entry.count} times`;
  const isNew = known !== undefined && isNewTo(known, entry);
  const varies = entry.contents === "varies" ? "  varies" : "";
  return `  ${entry.path}  ${runs}${isNew ? "  new" : ""}${varies}${incompleteMark(entry)}`;
}

/** `12 trees in 3 units (2 new)`. */
export function entryCounts(entries: readonly BaselineEntry[], known: InForce): string {
  const units = new Set(entries.map(({ scope }) => scope)).size;
  const trees = `${counted(entries.length, "tree")} in ${counted(units, "unit")}`;
  if (known === undefined) return trees;
  return `${trees} (${entries.filter((entry) => isNewTo(known, entry)).length} new)`;
}
