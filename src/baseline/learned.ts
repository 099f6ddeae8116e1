// What a learning run reports: the trees that it found, and later their changes. The same shape of a tree crosses to
// the reporter, is a row of its table, and is a line that root's command reads.
import * as v from "valibot";
import { count } from "../vocabulary/parse-json.ts";
import { parseEntry, parseUsers, timeText } from "./baseline-file.ts";
import type { BaselineEntry } from "./entry.ts";
import { parseExecutables } from "./executables.ts";

const id = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const users = v.pipe(
  v.string(),
  v.check((text) => parseUsers(text) !== undefined),
);
const executables = v.pipe(
  v.string(),
  v.check((text) => parseExecutables(text) !== undefined),
);

const LearnedTree = v.object({
  /** 128 bits of a digest over scope, path, exact tree and `complete`, as 32 hexadecimal digits. */
  id,
  scope: v.string(),
  exact: v.string(),
  /** Folded path of the runnable. */
  path: v.string(),
  tree: v.string(),
  complete: v.boolean(),
  /** First and last seen, seconds since the epoch. */
  first: count,
  last: count,
  /** Runs since this warden started. An absolute value, so that an update that arrives twice counts once. */
  count,
  /** As `usersText` formats them: `0,33`, or `-`. */
  users,
  /** As `executablesText` formats them. */
  executables,
  /** One sample of arguments, as `argumentsText` formats it; null if unknown. */
  arguments: v.nullable(v.string()),
});

/** A tree that a learning run found. */
export type LearnedTree = Readonly<v.InferOutput<typeof LearnedTree>>;

const LearnedCount = v.pick(LearnedTree, ["id", "last", "count", "users"]);
const learning = { started: count };

const LearnedUpdate = v.variant("kind", [
  /** A new tree. */
  v.object({ kind: v.literal("tree"), ...learning, tree: LearnedTree }),
  /** New counts of trees that were reported before. */
  v.object({ kind: v.literal("counts"), ...learning, counts: v.array(LearnedCount) }),
  /** More details on the files of a tree that was reported before. */
  v.object({ kind: v.literal("executables"), ...learning, id, executables }),
]);

/** One report of a learning run. `started`, in seconds since the epoch, tells the runs apart. */
export type LearnedUpdate = Readonly<v.InferOutput<typeof LearnedUpdate>>;

/** Validates an update; undefined if `value` is not one. The reporter trusts nothing that it receives. */
export function parseLearnedUpdate(value: unknown): LearnedUpdate | undefined {
  const result = v.safeParse(LearnedUpdate, value);
  return result.success ? result.output : undefined;
}

/** User ids separated by commas, `-` if there are none. `parseUsers` reads them. */
export function usersText(ids: readonly number[]): string {
  return ids.length === 0 ? "-" : ids.join(",");
}

/**
 * A learned tree as an entry of a baseline; a string result is an error message. `row` comes from a process of the
 * reporter's user, so every field is validated like those of a file. SQLite has 0 and 1 for `complete`.
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
