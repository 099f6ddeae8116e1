// The table of what the warden learns: a proposal that root may accept. Root's command reads the rows through a process
// of the reporter's user, and checks them again.
import type { Database } from "bun:sqlite";
import type { LearnedTree, LearnedUpdate } from "../baseline/learned.ts";

/**
 * A row is a `LearnedTree`. `origin` names the learning that counted (run, generation and start), so that an absolute
 * count that arrives again replaces itself, and those of several learnings add up.
 */
export const LEARNED_TABLE = `CREATE TABLE IF NOT EXISTS learned(
  origin TEXT NOT NULL, id TEXT NOT NULL,
  scope TEXT NOT NULL, exact TEXT NOT NULL, path TEXT NOT NULL, tree TEXT NOT NULL, complete INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, users TEXT NOT NULL,
  arguments TEXT, executables TEXT,
  PRIMARY KEY(origin, id)) WITHOUT ROWID`;

const columns = [
  "id",
  "scope",
  "exact",
  "path",
  "tree",
  "complete",
  "first",
  "last",
  "count",
  "users",
  "arguments",
  "executables",
] as const satisfies readonly (keyof LearnedTree)[];

/** Rows kept: twice what one learning may have. Beyond that the ones seen longest ago go. */
const ROWS = 200_000;

/** Adds the column that tables made by earlier versions lack. */
export function completeLearnedTable(database: Database): void {
  const present = database.query<{ name: string }, []>("SELECT name FROM pragma_table_info('learned')").all();
  if (present.some(({ name }) => name === "executables")) return;
  database.run("ALTER TABLE learned ADD COLUMN executables TEXT");
}

/** Writes one update. `warden`: run and generation of the one that sent it. An update of an unknown tree changes nothing. */
export function writeLearned(database: Database, warden: string, update: LearnedUpdate): void {
  const origin = `${warden}:${update.started}`;
  switch (update.kind) {
    case "tree": {
      const { tree } = update;
      database
        .query<void, (string | number | boolean | null)[]>(
          `INSERT OR REPLACE INTO learned (origin, ${columns.join(", ")})
           VALUES (?, ${columns.map(() => "?").join(", ")})`,
        )
        .run(origin, ...columns.map((name) => tree[name]));
      return;
    }
    case "counts": {
      const query = database.query<void, (string | number)[]>(
        "UPDATE learned SET last = ?, count = ?, users = ? WHERE origin = ? AND id = ?",
      );
      for (const { id, last, count, users } of update.counts) query.run(last, count, users, origin, id);
      return;
    }
    case "executables":
      database
        .query<void, string[]>("UPDATE learned SET executables = ? WHERE origin = ? AND id = ?")
        .run(update.executables, origin, update.id);
      return;
  }
}

/** Deletes rows beyond the bound. */
export function pruneLearned(database: Database): void {
  database.run(
    `DELETE FROM learned WHERE (origin, id) IN
     (SELECT origin, id FROM learned ORDER BY last DESC LIMIT -1 OFFSET ${ROWS})`,
  );
}
