// The processes that had a verdict recently.
import { actions } from "../../policy/schema.ts";
import type { EventRecord } from "../../report/event-record.ts";
import type { JournalReader } from "../../reporter/journal-reader.ts";

/** Identifies a process of any boot: its pid and when it was created, as records have it. */
export function processText(pid: unknown, created: unknown): string {
  return `${String(pid)} ${String(created)}`;
}

/** The processes of all verdicts since `since`, milliseconds since the epoch, as `processText` names them. */
export function judgedProcesses(journal: JournalReader, since: number): ReadonlySet<string> {
  const judged = new Set<string>();
  for (const { record } of journal.rows({ since, actions })) judged.add(keyOf(record));
  return judged;
}

function keyOf(record: EventRecord): string {
  return processText(record["process.pid"], record["process.creation.time"]);
}
