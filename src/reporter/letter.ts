// Alarms as the text of a mail. Everything in it that comes from a process is printable, indented and cut, so that
// nothing can become a header, a second mail or a line that a mail server refuses.
import { printable } from "../linux/text.ts";
import type { AlarmGroup, AlarmGroups } from "./alarms.ts";

export interface LetterInputs {
  readonly to: readonly string[];
  readonly host: string;
  /** Roles whose policies are in force. */
  readonly roles: readonly string[];
  readonly alarms: AlarmGroups;
  /** Records since the last mail that were not looked at. */
  readonly unread: number;
}

/** Kinds told in full; the rest is a count. */
const TOLD = 50;
/** RFC 5322, 2.1.1: at most 998 bytes a line; a character of UTF-8 has at most four. */
const WIDTH = 200;
/** Longest of a tree, a path or arguments. */
const LONGEST = 1_024;
const SUBJECT_HOST = 64;

/** The whole mail: headers, an empty line, text. */
export function letter({ to, host, roles, alarms, unread }: LetterInputs): string {
  const groups = alarms.list();
  const told = groups.slice(0, TOLD);
  const kinds = groups.length === 1 ? "" : ` of ${groups.length} kinds`;
  const headers = [
    `To: ${to.join(", ")}`,
    `Subject: [treewarden] ${ascii(host)}: ${counted(alarms.total, "alarm")}${kinds}`,
    "Auto-Submitted: auto-generated",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
  ];
  const body = [
    ...field("host", host),
    ...field("role", roles.join(", ") || "-"),
    ...told.flatMap((group) => ["", ...describe(group)]),
  ];
  const rest = groups.slice(TOLD).reduce((sum, { count }) => sum + count, 0) + alarms.crowded;
  if (rest > 0) body.push("", `Not told here for want of room: ${counted(rest, "further alarm")}.`);
  if (unread > 0) body.push("", `Not looked at: ${counted(unread, "further record")} of the journal.`);
  body.push("", "All of it, on the host: treewarden events --since 1d");
  return `${[...headers, "", ...body].join("\n")}\n`;
}

function describe(group: AlarmGroup): string[] {
  const { what, rule, severity, count, first, last } = group;
  const times = count === 1 ? "once" : `${count} times`;
  const grave = severity === "-" ? "" : ` (${printable(severity)})`;
  return [
    `${cut(printable(what), WIDTH).toUpperCase()}${grave}: ${cut(printable(rule), WIDTH)}, ${times}`,
    ...field("tree", group.tree),
    ...(group.exact === group.tree ? [] : field("exact", group.exact)),
    ...field("runs", group.runnable),
    ...field("scope", group.scope),
    ...field("user", group.user),
    ...field("first", first),
    ...field("last", last),
    ...field("arguments", group.arguments),
  ];
}

/** `  name       text`, a long text over several lines. */
function field(name: string, text: string): string[] {
  const whole = cut(printable(text), LONGEST);
  const lines: string[] = [];
  for (let at = 0; at === 0 || at < whole.length; at += WIDTH) {
    const label = at === 0 ? name : "";
    lines.push(`  ${label.padEnd(10)} ${whole.slice(at, at + WIDTH).toWellFormed()}`);
  }
  return lines;
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}...`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** A header without encoding has nothing else. */
function ascii(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, "?").slice(0, SUBJECT_HOST);
}
