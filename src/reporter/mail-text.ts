// Formats alarms as a mail. Text from processes is printable, indented and cut, so that it cannot become a header, a
// second mail or a line that a mail server refuses.
import { printable } from "../linux/text.ts";
import { counted } from "../vocabulary/counted.ts";
import type { AlarmGroup, AlarmGroups } from "./alarms.ts";

export interface MailContent {
  readonly to: readonly string[];
  readonly host: string;
  /** Roles whose policies are in force. */
  readonly roles: readonly string[];
  readonly alarms: AlarmGroups;
  /** The number of rows of the journal since the last mail that were not read. */
  readonly unread: number;
}

/** The most kinds of alarms that a mail describes; the others are only counted. */
const KINDS_DESCRIBED = 50;
/** The most characters in a line: RFC 5322, 2.1.1 allows 998 bytes, and UTF-8 has at most four per character. */
const WIDTH = 200;
/** The most characters of a tree, a path or arguments; the rest is cut. */
const LONGEST = 1_024;
const SUBJECT_HOST = 64;

/** The complete mail: headers, an empty line, text. */
export function formatMail({ to, host, roles, alarms, unread }: MailContent): string {
  const groups = alarms.list();
  const described = groups.slice(0, KINDS_DESCRIBED);
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
    ...described.flatMap((group) => ["", ...describe(group)]),
  ];
  const rest = groups.slice(KINDS_DESCRIBED).reduce((sum, { count }) => sum + count, 0) + alarms.overLimit;
  if (rest > 0) body.push("", `Not listed here: ${counted(rest, "further alarm")}.`);
  if (unread > 0) body.push("", `Not read: ${counted(unread, "further record")} of the journal.`);
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

/** Formats `  name       text`, with a long text on several lines. */
function field(name: string, text: string): string[] {
  const whole = cut(printable(text), LONGEST);
  const lines: string[] = [];
  for (let start = 0; start === 0 || start < whole.length; start += WIDTH) {
    const label = start === 0 ? name : "";
    lines.push(`  ${label.padEnd(10)} ${whole.slice(start, start + WIDTH).toWellFormed()}`);
  }
  return lines;
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}...`;
}

/** A header without encoding has nothing else. */
function ascii(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, "?").slice(0, SUBJECT_HOST);
}
