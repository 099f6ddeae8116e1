// A learned tree as an entry of a baseline.
import { lineageText, parseEntry, timeText } from "./baseline-file.ts";
import type { BaselineEntry } from "./entry.ts";
import type { LearnedTree } from "./learned.ts";

/** A learned tree as an entry of a baseline; a string result is an error message. Validated like the line of a file. */
export function entryOfTree(learned: LearnedTree): BaselineEntry | string {
  const { scope, exact, habit, path, tree, complete, fromMain, first, last, users, executables, contents } =
    learned;
  return parseEntry([
    scope,
    exact,
    habit,
    path,
    tree,
    lineageText(complete, fromMain),
    timeText(first),
    timeText(last),
    String(learned.count),
    users,
    "1",
    executables === "" ? "-" : executables,
    contents,
    learned.arguments === null || learned.arguments === "" ? "-" : learned.arguments,
  ]);
}
