// Alarms as the text of a mail. Everything in it that comes from a process is printable, indented and cut, so that
// nothing can become a header, a second mail or a line that a mail server refuses.
import { printable } from "../linux/text.ts";
import type { AlarmGroup, AlarmGroups } from "./alarms.ts";

export interface MailContent {
  readonly to: readonly string[];
  readonly host: string;
  /** Roles whose policies are in force. */
  readonly roles: readonly string[];
  readonly alarms: AlarmGroups;
  /** Rows of the journal since the last mail that were not read. */
  readonly unread: number;
}

/** Kinds of alarms described; of the others the mail has only the number. */
const KINDS_DESCRIBED = 50;
/** Characters in a line: RFC 5322, 2.1.1 allows 998 bytes, and a character of UTF-8 has at most four. */
const WIDTH = 200;
/** Characters of a tree, a path or arguments; the rest is cut. */
const LONGEST = 1_024;
const SUBJECT_HOST = 64;

/** The whole mail: headers, an empty line, text. */
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
