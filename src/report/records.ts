// Builds the warden's records: one for each kind of event that is recorded, and verdicts.
import type { Outcome, Reason } from "../enforcement/outcome.ts";
import type { Tree } from "../fingerprint/tree.ts";
import { unambiguous } from "../linux/text.ts";
import type { Decision } from "../policy/policy.ts";
import { type NetworkSubject, readerOf, type Subject } from "../policy/subject.ts";
import type { CloseEvent, ExitEvent, ListenEvent, LossEvent, NetworkEvent } from "../sensor/event.ts";
import type { Dependency } from "../vocabulary/dependencies.ts";
import { environmentVariable, isEnvironmentVariable } from "../vocabulary/environment.ts";
import { eventKinds, type RecordedKind } from "../vocabulary/event-kinds.ts";
import type { EventName, OutputName } from "../vocabulary/event-names.ts";
import { creationTime, type ProcessKey } from "../vocabulary/process-key.ts";
import { stampNames } from "../vocabulary/stamp-names.ts";
import { type JudgedVariable, judgedNames, judgedRow, judgedRows } from "../vocabulary/variables.ts";
import { boundedArguments, boundedText } from "./bounded-arguments.ts";
import { type EventRecord, isTexts, type RecordDraft } from "./event-record.ts";
import { networkFields } from "./network-fields.ts";
import { timestamp } from "./stamp.ts";

/** The variables of the subject that the record of an exec or a verdict contains. */
export const subjectNames = judgedNames.filter(
  (name) =>
    judgedRows[name].policiesOnly !== true &&
    !isEnvironmentVariable(name) &&
    !stampNames.some((stamp) => stamp === name),
);
/** What differs between two events of one process that runs one program. */
const ofEvent: ReadonlySet<Dependency> = new Set<Dependency>(["socket", "time", "sensor"]);
const isOfEvent = (name: JudgedVariable): boolean =>
  judgedRow(name).dependsOn.some((dependency) => ofEvent.has(dependency));
const readers = subjectNames.map((name) => ({ name, read: readerOf(name) }));
const eventReaders = readers.filter(({ name }) => isOfEvent(name));
const processReaders = readers.filter(({ name }) => !isOfEvent(name));

/** Trees consist of labels, in which what is not printable is escaped already. */
const ESCAPED = "tree.";
const ARGUMENTS = "process.command_args";

/** The arguments in a record, in characters: as many as `arguments.limit` reads by default. */
const ARGUMENT_CHARACTERS = 4_096;

/** The value of an environment variable in a record, in characters. */
const ENVIRONMENT_CHARACTERS = 1_024;

/** Generates a record's uid from the event's time in nanoseconds since the epoch. */
export type Stamp = (wallNs: number) => string;

function draft(event: EventName, wallNs: number, uid: Stamp): RecordDraft {
  return { timestamp: timestamp(wallNs), "event.name": event, "log.record.uid": uid(wallNs) };
}

/**
 * The record of an exec. `event`: `tree.new` for the first exec of a tree, otherwise `process.exec`. `ancestors`: fields
 * that describe the ancestors of the process.
 */
function execRecord(
  subject: Subject,
  event: typeof eventKinds.exec.eventName | "tree.new",
  uid: Stamp,
  ancestors?: EventRecord,
): EventRecord {
  return describe({ ...draft(event, subject.wallTime * 1e6, uid), ...ancestors }, subject);
}

/** The record of a verdict and its outcome. `ancestors`: as in the record of an exec. */
export function verdictRecord(
  subject: Subject,
  decision: Decision,
  outcome: Outcome,
  reason: Reason | undefined,
  version: string,
  uid: Stamp,
  ancestors?: EventRecord,
): EventRecord {
  const record = { ...draft("policy.verdict", subject.wallTime * 1e6, uid), ...ancestors };
  record["policy.action"] = decision.action;
  record["policy.outcome"] = outcome;
  if (reason !== undefined) record["policy.reason"] = reason;
  record["security_rule.name"] = decision.rule;
  record["security_rule.ruleset.name"] = decision.ruleset;
  record["security_rule.version"] = version;
  record["policy.matched_rules"] = decision.matched;
  record["policy.severity"] = decision.severity;
  if (decision.tags.length > 0) record["policy.tags"] = decision.tags;
  record["policy.count"] = 1;
  if (subject.kind !== "exec") record["event.kind"] = subject.kind;
  return describe(record, subject);
}

/** The record of verdicts that are reported together. `details`: all of its fields but the stamps. */
export function repeatedRecord(details: EventRecord, wallNs: number, uid: Stamp): EventRecord {
  return { ...draft("policy.verdict.repeated", wallNs, uid), ...details };
}

/** A process that exited. */
export interface EndedProcess extends ProcessKey {
  /** The process that forked it; 0 if not known. */
  readonly parentPid: number;
}

/** The record of an exit. Pid and creation time identify the process as in the record of its exec. */
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
    // wait(2): the exit code is in the second byte. A process that a signal ended gets 128 + signal, as in a shell.
    record["process.exit.code"] = signal === 0 ? (event.status >> 8) & 0xff : 128 + signal;
  }
  record["tree.path"] = tree.path;
  record["tree.id"] = tree.id;
  record["sensor.source"] = event.source;
  return record;
}

/** The record of an event of the network. `ancestors`: as in the record of an exec. */
function networkRecord(subject: NetworkSubject, uid: Stamp, ancestors?: EventRecord): EventRecord {
  const name = eventKinds[subject.kind].eventName;
  const record: RecordDraft = { ...draft(name, subject.wallTime * 1e6, uid), ...ancestors };
  return describe(record, subject);
}

/** Of the record of an event of the network: all but `processFields`. */
export function eventFields(subject: NetworkSubject, uid: Stamp): EventRecord {
  const record = draft(eventKinds[subject.kind].eventName, subject.wallTime * 1e6, uid);
  describeSocket(record, subject);
  describeBy(eventReaders, record, subject);
  return record;
}

/** What is the same in all records of a process while it runs one program as one user. */
export function processFields(subject: NetworkSubject): EventRecord {
  const record: RecordDraft = {};
  describeBy(processReaders, record, subject);
  describeRest(record, subject);
  return record;
}

/** Who opened a connection or session, for the record of its end. */
export interface Opener {
  readonly process: ProcessKey;
  readonly tree: Pick<Tree, "path" | "id">;
  /** Effective user. */
  readonly uid: number | undefined;
  readonly bootTimeMs: number;
  userName(uid: number): string | undefined;
}

/** What is remembered of a connection or session for the record of its end. */
export interface OpenedSocket {
  readonly opener: Opener;
  readonly network: Exclude<NetworkEvent, ListenEvent>;
  /** It drew a verdict, so that its end is recorded too. */
  readonly hasVerdict: boolean;
}

/** The record of the end of a connection or session. */
function closeRecord(event: CloseEvent, opened: OpenedSocket, wallNs: number, stamp: Stamp): EventRecord {
  return { ...endFields(event, opened, wallNs, stamp), ...openerFields(opened.opener) };
}

/** Of the record of an end: all but `openerFields`. */
export function endFields(
  event: CloseEvent,
  { network }: OpenedSocket,
  wallNs: number,
  stamp: Stamp,
): EventRecord {
  const record: RecordDraft = {
    ...draft(eventKinds.close.eventName, wallNs, stamp),
    ...networkFields(network),
  };
  record["network.socket"] = event.socket;
  record["network.result"] = event.result;
  record["network.duration"] = event.durationNs / 1e9;
  if (event.count !== undefined) record["network.datagrams"] = event.count;
  record["sensor.source"] = event.source;
  return record;
}

/** Of the record of an end: who opened the connection or session. */
export function openerFields({ process, tree, uid, bootTimeMs, userName }: Opener): EventRecord {
  const record: RecordDraft = { "process.pid": process.pid };
  const created = creationTime(process, bootTimeMs);
  if (created !== undefined) record["process.creation.time"] = created;
  if (uid !== undefined) record["process.user.id"] = uid;
  const user = uid === undefined ? undefined : userName(uid);
  if (user !== undefined) record["process.user.name"] = unambiguous(user);
  record["tree.path"] = tree.path;
  record["tree.id"] = tree.id;
  return record;
}

function lossRecord(event: LossEvent, wallNs: number, uid: Stamp): EventRecord {
  const record = draft(eventKinds.loss.eventName, wallNs, uid);
  record["sensor.source"] = event.source;
  record["sensor.loss.reason"] = event.reason;
  if (event.count !== undefined) record["sensor.loss.count"] = event.count;
  return record;
}

/** The record of a change of treewarden itself, or of a command's output. `details`: further fields of the record. */
function changeRecord(event: OutputName, details: EventRecord, wallNs: number, uid: Stamp): EventRecord {
  return { ...draft(event, wallNs, uid), ...details };
}

/** The builder for each kind of record. The caller names the event of a change. */
export const records = {
  exec: execRecord,
  exit: exitRecord,
  connect: networkRecord,
  send: networkRecord,
  listen: networkRecord,
  close: closeRecord,
  loss: lossRecord,
  change: changeRecord,
} as const satisfies Readonly<Record<RecordedKind | "change", (...parts: never[]) => EventRecord>>;

function describe(record: RecordDraft, subject: Subject): EventRecord {
  if (subject.kind !== "exec") describeSocket(record, subject);
  describeBy(readers, record, subject);
  describeRest(record, subject);
  return record;
}

function describeSocket(record: RecordDraft, { network: { socket, denied } }: NetworkSubject): void {
  if (socket !== undefined) record["network.socket"] = socket;
  if (denied) record["network.denied"] = true;
}

function describeBy(some: typeof readers, record: RecordDraft, subject: Subject): void {
  for (const { name, read } of some) {
    const value = name === ARGUMENTS ? shownArguments(subject) : read(subject);
    if (value === undefined) continue;
    const isEscaped = name.startsWith(ESCAPED);
    if (typeof value === "string") record[name] = isEscaped ? value : unambiguous(value);
    else if (isTexts(value)) record[name] = isEscaped ? value : value.map(unambiguous);
    else record[name] = value;
  }
}

function describeRest(record: RecordDraft, subject: Subject): void {
  if (subject.change !== undefined) record["change.id"] = subject.change;
  // Nearly all of them are not set nearly always, so a record has only those that are.
  for (const [name, value] of subject.facts.environment ?? [])
    if (value !== null)
      record[environmentVariable(name)] = unambiguous(boundedText(value, ENVIRONMENT_CHARACTERS));
}

function shownArguments({ facts }: Subject): readonly string[] | undefined {
  return facts.args === undefined ? undefined : boundedArguments(facts.args, ARGUMENT_CHARACTERS);
}
