// The lineage of a record as an indented tree: who started whom, when, as whom, from which terminal and login.
import type { EventRecord, RecordValue } from "../../report/event-record.ts";
import { localTime } from "../../report/local-time.ts";
import { commandText } from "../../report/pretty.ts";
import { parseJournalRecord } from "../../reporter/journal-reader.ts";

/** The ancestors that the record describes, root first. Items that cannot be parsed are left out. */
export function ancestorsIn(record: EventRecord): readonly EventRecord[] {
  const texts = record["process.ancestors"];
  if (!Array.isArray(texts)) return [];
  return texts.flatMap((text) => {
    const ancestor = parseJournalRecord(String(text));
    return Object.keys(ancestor).length === 0 ? [] : [ancestor];
  });
}

/** Two lines for each ancestor and for the process itself: what it runs, and what is known of its start. */
export function lineageLines(record: EventRecord, isLive: (process: EventRecord) => boolean): string[] {
  const lines: string[] = [];
  for (const [depth, process] of [...ancestorsIn(record), record].entries()) {
    const indent = depth === 0 ? "" : `${"  ".repeat(depth - 1)}└ `;
    const pid = known(process["process.pid"]) ?? "pid not known";
    lines.push(`${indent}${pid}  ${userText(process)}  ${commandText(process)}`);
    lines.push(`${"  ".repeat(depth + 1)}${startText(process, isLive(process))}`);
  }
  return lines;
}

function startText(process: EventRecord, isLive: boolean): string {
  const created = localTime(process["process.creation.time"]);
  const parts = [
    created === undefined ? "start not known" : `since ${created}`,
    noneOr(process["process.tty"], "no terminal", "terminal", "terminal not known"),
    noneOr(process["process.login_user.id"], "no login", "login user", "login not known"),
  ];
  const path = process["process.runnable.path"];
  if (process["process.command_args"] === undefined) parts.push("arguments not known");
  else if (typeof path === "string") parts.push(path);
  parts.push(isLive ? "still runs" : "has ended");
  return parts.join(", ");
}

function userText(process: EventRecord): string {
  return known(process["process.user.name"]) ?? known(process["process.user.id"]) ?? "user not known";
}

/** Text for a value: `none` if it is null, `unknown` if it is absent, and otherwise the value after `what`. */
function noneOr(value: RecordValue | undefined, none: string, what: string, unknown: string): string {
  if (value === null) return none;
  return value === undefined ? unknown : `${what} ${String(value)}`;
}

function known(value: RecordValue | undefined): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}
