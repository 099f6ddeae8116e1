// What the warden learns, as rows: a proposal that root may accept. Root's command reads them, so what stands in them
// is checked again there.
import type { Database } from "bun:sqlite";
import { executablesText } from "../baseline/executables.ts";
import {
  candidateOf,
  countedEvent,
  countedOf,
  LEARNED_TABLE,
  learnedEvent,
  lookedEvent,
  lookedOf,
  usersText,
} from "../baseline/learned.ts";
import type { EventRecord } from "../report/event-record.ts";

export { LEARNED_TABLE };

/** Rows kept: twice what one learning may have. Beyond that the ones seen longest ago go. */
const ROWS = 200_000;

/** A table made before it had this column gets it. */
export function completeLearned(database: Database): void {
  const columns = database.query<{ name: string }, []>("SELECT name FROM pragma_table_info('learned')").all();
  if (columns.some(({ name }) => name === "executables")) return;
  database.run("ALTER TABLE learned ADD COLUMN executables TEXT");
}

/** These are for root's command alone: they neither leave the host nor interest a person. */
export function isLearned(record: EventRecord): boolean {
  const name = record["event.name"];
  return name === learnedEvent || name === countedEvent || name === lookedEvent;
}

/** Keeps one of these records. `origin`: the run and generation of its warden; a learning's start makes it whole. */
export function keepLearned(database: Database, warden: string, record: EventRecord): void {
  const origin = `${warden}:${String(record["baseline.started"] ?? 0)}`;
  const candidate = record["event.name"] === learnedEvent ? candidateOf(record) : undefined;
  if (candidate !== undefined) {
    const { id, scope, exact, path, tree, complete, first, last, count, users } = candidate;
    database
      .query<void, (string | number | null)[]>(
        `INSERT OR REPLACE INTO learned
         (origin, id, scope, exact, path, tree, complete, first, last, count, users, arguments, executables)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        ...[origin, id, scope, exact, path, tree, complete ? 1 : 0, first, last, count, usersText(users)],
        ...[candidate.arguments ?? null, executablesText(candidate.executables)],
      );
    return;
  }
  const looked = record["event.name"] === lookedEvent ? lookedOf(record) : undefined;
  if (looked !== undefined) {
    database
      .query<void, string[]>("UPDATE learned SET executables = ? WHERE origin = ? AND id = ?")
      .run(executablesText(looked.executables), origin, looked.id);
    return;
  }
  if (record["event.name"] !== countedEvent) return;
  const update = database.query<void, (string | number)[]>(
    "UPDATE learned SET last = ?, count = ?, users = ? WHERE origin = ? AND id = ?",
  );
  for (const { id, last, count, users } of countedOf(record))
    update.run(last, count, usersText(users), origin, id);
}

/** Lets go of rows beyond the bound. */
export function pruneLearned(database: Database): void {
  database.run(
    `DELETE FROM learned WHERE (origin, id) IN
     (SELECT origin, id FROM learned ORDER BY last DESC LIMIT -1 OFFSET ${ROWS})`,
  );
}
