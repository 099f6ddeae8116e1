// Rows of the reporter's table of learned trees, as a warden's reports make them.
import type { Database } from "bun:sqlite";
import { contentsText } from "../../src/baseline/contents.ts";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { executablesText } from "../../src/baseline/executables.ts";
import type { LearnedTree } from "../../src/baseline/learned.ts";
import { rowOrigin, type SealOrigin, sealUpdate } from "../../src/baseline/learned-seal.ts";
import { usersText } from "../../src/baseline/users.ts";
import { treeId } from "../../src/fingerprint/tree.ts";

export type LearnedRow = Omit<LearnedTree, "complete" | "fromMain"> & {
  readonly complete: number;
  readonly fromMain: number;
  readonly origin: string;
  readonly learning: string;
  readonly tree_seal: string;
  readonly count_seal: string;
  readonly executables_seal: string;
};

/** The row that a report of `tree` becomes. */
export function rowOf(tree: LearnedTree, key: Uint8Array, origin: SealOrigin): LearnedRow {
  const update = sealUpdate({ kind: "tree", started: origin.started, tree }, key, origin);
  if (update.kind !== "tree") throw new Error("not a tree");
  return {
    ...tree,
    complete: tree.complete ? 1 : 0,
    fromMain: tree.fromMain ? 1 : 0,
    origin: rowOrigin(origin),
    learning: update.learning,
    tree_seal: update.seals.tree,
    count_seal: update.seals.count,
    executables_seal: update.seals.executables,
  };
}

export function treeOfEntry(entry: BaselineEntry, change: string | null = null): LearnedTree {
  const { scope, exact, habit, path, tree, complete, fromMain, first, last, count, users, executables } =
    entry;
  return {
    ...{ scope, exact, habit, path, tree, complete, fromMain, first, last, count },
    id: treeId(scope + habit + (change ?? "")),
    users: usersText(users),
    executables: executablesText(executables),
    contents: contentsText(entry.contents),
    arguments: entry.arguments ?? null,
    change,
  };
}

export function insertRow(database: Database, row: LearnedRow): void {
  const columns = Object.entries(row);
  database
    .query(
      `INSERT INTO learned (${columns.map(([name]) => name).join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    )
    .run(...columns.map(([, value]) => value));
}
