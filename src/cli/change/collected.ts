// The trees that were collected for changes, read from the journal.
import { type BaselineEntry, mergeEntries } from "../../baseline/entry.ts";
import { readArrivedRows } from "../baseline/arrived-rows.ts";
import {
  entriesOfRows,
  FOREIGN_HINT,
  foreignText,
  readRows,
  withoutForeign,
} from "../baseline/candidates.ts";
import { nowSeconds } from "../baseline/entry-output.ts";
import { readExclusions, readLearning } from "../baseline/store.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import { isWardenRunning } from "../request-warden.ts";

/** The trees of each change, by its id. */
export async function collectedChanges(
  stateDirectory: string,
): Promise<ReadonlyMap<string, readonly BaselineEntry[]>> {
  const changes = new Map<string, BaselineEntry[]>();
  for (const { change, entry } of withoutForeign(await readRows(stateDirectory))) {
    if (change === null || entry === undefined) continue;
    const entries = changes.get(change);
    if (entries === undefined) changes.set(change, [entry]);
    else entries.push(entry);
  }
  for (const [id, entries] of changes) changes.set(id, mergeEntries([entries], false));
  return changes;
}

/**
 * The time from the end of a window until its last trees have been reported, in seconds: the warden waits 3 s, because a
 * loss of events within the window may become known that late, and then reports every 2 s.
 */
const REPORTED_AFTER_S = 6;

/** The trees of one change. Throws a CommandError if there are none, or if the reporter has changed rows. */
export async function collectedFor(id: string, stateDirectory: string): Promise<readonly BaselineEntry[]> {
  if (isWardenRunning(stateDirectory)) await untilReported(id, stateDirectory);
  const { rows, foreign } = await readArrivedRows(stateDirectory, () => readLearning(stateDirectory));
  if (foreign > 0) throw new CommandError(exitCodes.no, `refused: ${foreignText(foreign)}`, FOREIGN_HINT);
  const entries = mergeEntries([entriesOfRows(rows.filter(({ change }) => change === id))], false);
  if (entries.length === 0)
    throw new CommandError(
      exitCodes.no,
      `nothing was collected for change ${id}`,
      "treewarden change list shows all changes",
    );
  return entries;
}

/** A window that has just ended by its time may have trees that the warden has not reported yet. */
async function untilReported(id: string, stateDirectory: string): Promise<void> {
  const windows = readExclusions(stateDirectory).filter(({ change }) => change?.id === id);
  const now = nowSeconds();
  if (windows.some(({ until = 0 }) => until > now)) {
    warn(`change ${id} is still open`);
    hint("what it starts from now on is not included");
  }
  const ended = windows.map(({ until = 0 }) => until).filter((until) => until <= now);
  const wait = Math.max(0, ...ended) + REPORTED_AFTER_S - now;
  if (ended.length > 0 && wait > 0) await Bun.sleep(wait * 1_000);
}
