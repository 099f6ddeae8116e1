// Formats a record as a line for the terminal.

import { printable } from "../linux/text.ts";
import { colours, endOfColour } from "../vocabulary/colours.ts";
import { eventKinds, networkKinds, type RecordedEventName } from "../vocabulary/event-kinds.ts";
import { stampNames } from "../vocabulary/stamp-names.ts";
import type { EventRecord, RecordValue } from "./event-record.ts";
import { localTime } from "./local-time.ts";
import { hostAndPort } from "./network-fields.ts";

/** The most characters of arguments in a line. */
const ARGUMENTS = 160;

export type Paint = (kind: keyof typeof colours, text: string) => string;
/** Formats the part of the line after the time. */
type Line = (record: EventRecord, paint: Paint) => string;

type LineName =
  | RecordedEventName
  | "tree.new"
  | "policy.verdict"
  | "policy.verdict.repeated"
  | "policy.verdict.unrecorded";

const lines: Readonly<Record<LineName, Line>> = {
  "process.exec": (record, paint) => execLine("   ", record, paint),
  "tree.new": (record, paint) => execLine(paint("change", "new"), record, paint),
  "process.exit": (record, paint) => {
    const how = `exit ${text(record["process.exit.code"])}`;
    return `    ${processAndUser(record)} ${text(record["tree.path"])}  ${paint("dim", how)}`;
  },
  "network.connect": networkLine,
  "network.send": networkLine,
  "network.listen": networkLine,
  "network.close": networkLine,
  "policy.verdict": (record, paint) =>
    `${verdictText(record, paint)} ${processAndUser(record)} ${text(record["tree.path"])}  ${commandText(record)}`,
  "policy.verdict.repeated": (record, paint) => {
    const distinct = record["policy.distinct_arguments"];
    const what =
      distinct === undefined ? commandText(record) : paint("dim", `${text(distinct)} different arguments`);
    const times = paint("dim", `${text(record["policy.count"])} times more`);
    return `${verdictText(record, paint)} ${times} ${processAndUser(record)} ${text(record["tree.path"])}  ${what}`;
  },
  "policy.verdict.unrecorded": (record, paint) =>
    `${verdictText(record, paint)} ${text(record["policy.count"])} verdicts without a record: the warden was killed`,
  "sensor.loss": nameLine,
};
const lineOf: ReadonlyMap<string, Line> = new Map(Object.entries(lines));

/** Paints text, or leaves it as it is. */
export function painter(colour: boolean): Paint {
  return (kind, text) => (colour ? colours[kind] + text + endOfColour : text);
}

const plainPaint = painter(false);

/** One line with its newline. Texts in a record are already printable. */
export function prettyLine(record: EventRecord, colour: boolean): string {
  const paint = painter(colour);
  const time = paint("dim", localTime(record.timestamp) ?? text(record.timestamp));
  return `${time} ${lineFor(record)(record, paint)}\n`;
}

/** The same text without time, colours and the spaces that align lines below each other. */
export function displayText(record: EventRecord): string {
  return lineFor(record)(record, plainPaint).replaceAll(/ {2,}/g, " ").trim();
}

function lineFor(record: EventRecord): Line {
  return lineOf.get(text(record["event.name"])) ?? nameLine;
}

/** Outcome, reason and rule of a verdict. */
export function verdictText(record: EventRecord, paint: Paint): string {
  const kind = record["policy.action"] === "kill" || record["policy.action"] === "stop" ? "kill" : "alert";
  const outcome = text(record["policy.outcome"]);
  const reason = record["policy.reason"] === undefined ? "" : ` (${text(record["policy.reason"])})`;
  const rule = `${text(record["security_rule.ruleset.name"])}/${text(record["security_rule.name"])}`;
  return paint(kind, `${outcome.toUpperCase()}${reason} ${rule}`);
}

function execLine(mark: string, record: EventRecord, paint: Paint): string {
  return `${mark} ${processAndUser(record)} ${text(record["tree.path"])}  ${paint("dim", commandText(record))}`;
}

function networkLine(record: EventRecord, paint: Paint): string {
  const what = networkText(text(record["event.name"]), record);
  return `    ${processAndUser(record)} ${text(record["tree.path"])}  ${paint("dim", what)}`;
}

/** What a process does on the network, by the name of the event; also of a verdict on it. */
function networkText(name: string, record: EventRecord): string {
  switch (name) {
    case eventKinds.connect.eventName:
      return `connects to ${peerText(record)}`;
    case eventKinds.send.eventName:
      return `sends to ${peerText(record)}`;
    case eventKinds.listen.eventName:
      return `listens on ${endpoint(record, record["network.local.address"], record["network.local.port"])}`;
    default: {
      const { "network.result": result, "network.duration": duration } = record;
      const seconds = typeof duration === "number" ? duration.toFixed(3) : "-";
      return `${text(result)} after ${seconds} s: ${peerText(record)}`;
    }
  }
}

function peerText(record: EventRecord): string {
  return endpoint(record, record["network.peer.address"], record["network.peer.port"]);
}

/** Transport, address and port, as in `tcp 192.0.2.1:443` and `udp [2001:db8::1]:53`. */
function endpoint(
  record: EventRecord,
  address: RecordValue | undefined,
  port: RecordValue | undefined,
): string {
  return `${text(record["network.transport"])} ${hostAndPort(text(address), text(port))}`;
}

/** The event's name and all of its values. */
function nameLine(record: EventRecord, paint: Paint): string {
  return `${paint("change", text(record["event.name"]))} ${details(record)}`;
}

function processAndUser(record: EventRecord): string {
  const user = record["process.user.name"] ?? record["process.user.id"];
  return `${text(record["process.pid"]).padStart(7)} ${text(user).padEnd(8)}`;
}

/** The arguments, or else the path of what is run, cut; of a verdict on the network, what the process does there. */
export function commandText(record: EventRecord): string {
  const kind = networkKinds.find((each) => each === record["event.kind"]);
  if (kind !== undefined) return networkText(eventKinds[kind].eventName, record);
  const args = record["process.command_args"];
  const path = record["process.runnable.path"] ?? record["process.executable.path"];
  const shown = Array.isArray(args) ? args.join(" ") : text(path);
  return shown.length > ARGUMENTS ? `${cut(shown, 0, ARGUMENTS)}...` : shown;
}

/** A part of a text. Half a surrogate pair at its ends is escaped, as it is no character. */
function cut(shown: string, start: number, end: number): string {
  return printable(shown.slice(start, end));
}

/** Names of what proves that no record is missing: nothing to read. */
const SEALS = "journal.";

const stamps: ReadonlySet<string> = new Set([...stampNames, "observed_timestamp"]);

function details(record: EventRecord): string {
  return Object.entries(record)
    .filter(([name]) => !stamps.has(name) && !name.startsWith(SEALS))
    .map(([name, value]) => `${name}=${text(value)}`)
    .join(" ");
}

function text(value: RecordValue | undefined): string {
  if (value === undefined || value === null) return "-";
  return Array.isArray(value) ? value.join(", ") : String(value);
}
