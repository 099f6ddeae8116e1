// What a learning reports: the trees that it found, and later what changed of them. A tree has one shape on its whole
// way: this one crosses to the reporter, is a row of its table, and is a line that root's command reads.
import * as v from "valibot";
import { parseEntry, parseUsers, timeText } from "./baseline-file.ts";
import type { BaselineEntry } from "./entry.ts";
import { parseExecutables } from "./executables.ts";

const id = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const users = v.pipe(
  v.string(),
  v.check((text) => parseUsers(text) !== undefined),
);
const executables = v.pipe(
  v.string(),
  v.check((text) => parseExecutables(text) !== undefined),
);

const LearnedTree = v.object({
  /** 128 bits over scope, path, exact tree and whether it is complete, as 32 hexadecimal digits. */
  id,
  scope: v.string(),
  exact: v.string(),
  /** Of the runnable. */
  path: v.string(),
  tree: v.string(),
  complete: v.boolean(),
  /** First and last seen, seconds since the epoch. */
  first: count,
  last: count,
  /** Runs since this warden started. An absolute value, so that one that arrives twice counts once. */
  count,
  /** As `usersText` writes them: `0,33`, or `-`. */
  users,
  /** As `executablesText` writes them. */
  executables,
  /** One sample of arguments, as `argumentsText` writes it; null if not known. */
  arguments: v.nullable(v.string()),
});

/** A tree that a learning found. */
export type LearnedTree = Readonly<v.InferOutput<typeof LearnedTree>>;

const LearnedCount = v.pick(LearnedTree, ["id", "last", "count", "users"]);
const learning = { started: count };

const LearnedUpdate = v.variant("kind", [
  /** A tree is new. */
  v.object({ kind: v.literal("tree"), ...learning, tree: LearnedTree }),
  /** Trees that were reported before ran again. */
  v.object({ kind: v.literal("counts"), ...learning, counts: v.array(LearnedCount) }),
  /** More is known of the files that a tree runs, which was reported before. */
  v.object({ kind: v.literal("executables"), ...learning, id, executables }),
]);

/** One report of a learning. `started`: when the learning began, seconds since the epoch; two learnings never add up. */
export type LearnedUpdate = Readonly<v.InferOutput<typeof LearnedUpdate>>;

/** The update in `value`, which may be anything: the reporter takes nothing on trust. Undefined if it is none. */
export function parseLearnedUpdate(value: unknown): LearnedUpdate | undefined {
  const result = v.safeParse(LearnedUpdate, value);
  return result.success ? result.output : undefined;
}

/** Ascending user ids with commas between, `-` if there are none. `parseUsers` reads them. */
export function usersText(ids: readonly number[]): string {
  return ids.length === 0 ? "-" : ids.join(",");
}

/**
 * A learned tree as an entry of a baseline. `row` is what a process of the reporter's user printed, so every field is
 * checked as those of a file are; a text says what is wrong. SQLite has 0 and 1 for `complete`.
 */
export function entryOfRow(row: { readonly [name: string]: unknown }): BaselineEntry | string {
  const text = (name: string, missing = ""): string => {
    const value = row[name];
    return typeof value === "string" && value !== "" ? value : missing;
  };
  const { first, last } = row;
  if (!v.is(count, first) || !v.is(count, last))
    return "first and last seen: expected seconds since the epoch";
  return parseEntry([
    text("scope"),
    text("exact"),
    text("path"),
    text("tree"),
    Number(row.complete) === 1 ? "complete" : "incomplete",
    timeText(first),
    timeText(last),
    String(row.count),
    text("users"),
    "1",
    text("executables", "-"),
    text("arguments", "-"),
  ]);
}
