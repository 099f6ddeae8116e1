// The table of learned trees, which are a proposal that root may accept. Root's command reads the rows through a
// process of the reporter's user, and takes only those whose seals are the warden's (src/baseline/learned-seal.ts).
import type { Database } from "bun:sqlite";
import type { LearnedTree, SealedUpdate } from "../baseline/learned.ts";
import { rowOrigin, wardenOrigin } from "../baseline/learned-seal.ts";

/**
 * A row is a `LearnedTree` with its seals. `origin` names the warden and the learning run that counted (`rowOrigin`), so
 * that a repeated absolute count replaces the old one, and the counts of several wardens add up.
 */
export const LEARNED_TABLE = `CREATE TABLE IF NOT EXISTS learned(
  origin TEXT NOT NULL, id TEXT NOT NULL, learning TEXT NOT NULL,
  scope TEXT NOT NULL, exact TEXT NOT NULL, habit TEXT NOT NULL, path TEXT NOT NULL, tree TEXT NOT NULL,
  complete INTEGER NOT NULL, fromMain INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, users TEXT NOT NULL,
  arguments TEXT, executables TEXT NOT NULL, contents TEXT NOT NULL, change TEXT,
  tree_seal TEXT NOT NULL, count_seal TEXT NOT NULL, executables_seal TEXT NOT NULL,
  PRIMARY KEY(origin, id)) WITHOUT ROWID`;

const treeColumns = [
  "id",
  "scope",
  "exact",
  "habit",
  "path",
  "tree",
  "complete",
  "fromMain",
  "first",
  "last",
  "count",
  "users",
  "arguments",
  "executables",
  "contents",
  "change",
] as const satisfies readonly (keyof LearnedTree)[];
const otherColumns = ["origin", "learning", "tree_seal", "count_seal", "executables_seal"];
const columns = [...otherColumns, ...treeColumns];

/** The most rows: twice those of one learning run. Beyond that the rows seen longest ago are deleted. */
const ROWS = 200_000;

/** Replaces the table of an earlier version. Its rows lack columns that the seals cover, so they could not be accepted. */
export function replaceOldTable(database: Database): void {
  const present = database.query<{ name: string }, []>("SELECT name FROM pragma_table_info('learned')").all();
  if (present.some(({ name }) => name === "change")) return;
  database.run("DROP TABLE learned");
  database.run(LEARNED_TABLE);
}

/** Writes an update. `sender`: the warden. An update of an unknown tree has no effect. */
export function writeLearned(
  database: Database,
  sender: { readonly run: string; readonly generation: number },
  update: SealedUpdate,
): void {
  const warden = wardenOrigin(sender.run, sender.generation);
  const origin = rowOrigin({ warden, started: update.started });
  switch (update.kind) {
    case "tree": {
      const { tree, learning, seals } = update;
      database
        .query<void, (string | number | boolean | null)[]>(
          `INSERT OR REPLACE INTO learned (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
        )
        .run(
          ...[origin, learning, seals.tree, seals.count, seals.executables],
          ...treeColumns.map((name) => tree[name]),
        );
      return;
    }
    case "counts": {
      const query = database.query<void, (string | number)[]>(
        "UPDATE learned SET last = ?, count = ?, users = ?, count_seal = ? WHERE origin = ? AND id = ?",
      );
      for (const { id, last, count, users, seal } of update.counts)
        query.run(last, count, users, seal, origin, id);
      return;
    }
    case "executables":
      database
        .query<void, string[]>(
          "UPDATE learned SET executables = ?, contents = ?, executables_seal = ? WHERE origin = ? AND id = ?",
        )
        .run(update.executables, update.contents, update.seal, origin, update.id);
      return;
  }
}

/** Deletes rows beyond the limit. */
export function pruneLearned(database: Database): void {
  database.run(
    `DELETE FROM learned WHERE (origin, id) IN
     (SELECT origin, id FROM learned ORDER BY last DESC LIMIT -1 OFFSET ${ROWS})`,
  );
}
