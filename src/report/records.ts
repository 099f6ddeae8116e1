// The records that the warden makes: one for each kind of event that has any, and the verdict on one.
import type { Outcome, Reason } from "../enforcement/outcome.ts";
import type { Tree } from "../fingerprint/tree.ts";
import { printable } from "../linux/text.ts";
import type { Decision } from "../policy/policy.ts";
import { readerOf, type Subject } from "../policy/subject.ts";
import type { ExitEvent, LossEvent } from "../sensor/event.ts";
import { eventKinds, type RecordedKind } from "../vocabulary/event-kinds.ts";
import type { EventName, OutputName } from "../vocabulary/event-names.ts";
import { creationTime, type ProcessKey } from "../vocabulary/process-key.ts";
import { judgedNames, judgedRows, stampNames } from "../vocabulary/variables.ts";
import type { EventRecord, RecordDraft, RecordValue } from "./event-record.ts";
import { timestamp } from "./stamp.ts";

/** What the record of an exec or a verdict has of its subject. */
export const subjectNames = judgedNames.filter(
  (name) => judgedRows[name].policiesOnly !== true && !stampNames.some((stamp) => stamp === name),
);
const readers = subjectNames.map((name) => ({ name, read: readerOf(name) }));

/** Gives a record its uid; takes the event's time, nanoseconds since the epoch. */
export type Stamp = (wallNs: number) => string;

function draft(event: EventName, wallNs: number, uid: Stamp): RecordDraft {
  return { timestamp: timestamp(wallNs), "event.name": event, "log.record.uid": uid(wallNs) };
}

/** An exec. `event`: `tree.new` for the first of a tree, else `process.exec`. `uid` makes the record's uid. */
function execRecord(
  subject: Subject,
  event: typeof eventKinds.exec.eventName | "tree.new",
  uid: Stamp,
): EventRecord {
  return describe(draft(event, subject.wallTime * 1e6, uid), subject);
}

/** A verdict and what became of it. */
export function verdictRecord(
  subject: Subject,
  decision: Decision,
  outcome: Outcome,
  reason: Reason | undefined,
  version: string,
  uid: Stamp,
): EventRecord {
  const record = draft("policy.verdict", subject.wallTime * 1e6, uid);
  record["policy.action"] = decision.action;
  record["policy.outcome"] = outcome;
  if (reason !== undefined) record["policy.reason"] = reason;
  record["security_rule.name"] = decision.rule;
  record["security_rule.ruleset.name"] = decision.ruleset;
  record["security_rule.version"] = version;
  record["policy.matched_rules"] = decision.matched;
  record["policy.severity"] = decision.severity;
  if (decision.tags.length > 0) record["policy.tags"] = decision.tags;
  return describe(record, subject);
}

/** The process of an exit. */
export interface EndedProcess extends ProcessKey {
  /** The process that forked it; 0 if not known. */
  readonly parentPid: number;
}

/** An exit, with what names the process in the record of its exec: pid and creation time. */
function exitRecord(
  event: ExitEvent,
  process: EndedProcess,
  tree: Pick<Tree, "path" | "id">,
  bootTimeMs: number,
  wallNs: number,
  uid: Stamp,
): EventRecord {
  const record = draft(eventKinds.exit.eventName, wallNs, uid);
  record["process.pid"] = process.pid;
  const created = creationTime(process, bootTimeMs);
  if (created !== undefined) record["process.creation.time"] = created;
  if (process.parentPid !== 0) record["process.parent_pid"] = process.parentPid;
  if (event.status !== undefined) {
    const signal = event.status & 0x7f;
    // wait(2): the exit code is in the second byte; a shell's 128 + signal for one that a signal ended.
    record["process.exit.code"] = signal === 0 ? (event.status >> 8) & 0xff : 128 + signal;
  }
  record["tree.path"] = tree.path;
  record["tree.id"] = tree.id;
  record["sensor.source"] = event.source;
  return record;
}

function lossRecord(event: LossEvent, wallNs: number, uid: Stamp): EventRecord {
  const record = draft(eventKinds.loss.eventName, wallNs, uid);
  record["sensor.source"] = event.source;
  record["sensor.loss.reason"] = event.reason;
  if (event.count !== undefined) record["sensor.loss.count"] = event.count;
  return record;
}

/** Something about treewarden itself changed. `event`: its event name; `details`: further fields of the record. */
function changeRecord(event: OutputName, details: EventRecord, wallNs: number, uid: Stamp): EventRecord {
  return { ...draft(event, wallNs, uid), ...details };
}

/** The record of each kind; a change's is named by its maker. */
export const records = {
  exec: execRecord,
  exit: exitRecord,
  loss: lossRecord,
  change: changeRecord,
} as const satisfies Readonly<Record<RecordedKind | "change", (...parts: never[]) => EventRecord>>;

function describe(record: RecordDraft, subject: Subject): EventRecord {
  for (const { name, read } of readers) {
    const value = read(subject);
    if (value === undefined) continue;
    if (typeof value === "string") record[name] = printable(value);
    else if (isTexts(value)) record[name] = value.map(printable);
    else record[name] = value;
  }
  return record;
}

function isTexts(value: RecordValue): value is readonly string[] {
  return Array.isArray(value) && typeof value[0] === "string";
}
