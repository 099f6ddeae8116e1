// Reconstructs the subject of a decision from a record of the journal or an entry of a baseline. What these lack is
// absent, so that a rule that names it is undecided and nothing is guessed.

import type { Knowledge } from "../baseline/baseline.ts";
import { isDestination } from "../baseline/destination.ts";
import type { BaselineEntry } from "../baseline/entry.ts";
import type { Identify } from "../fingerprint/identify.ts";
import { type Runnable, runnableOfName } from "../fingerprint/runnable.ts";
import { type Lineage, Lineages } from "../forest/lineage.ts";
import type { Tree } from "../forest/tree.ts";
import { undoUnambiguous } from "../linux/text.ts";
import { givenNetworkSubject, networkEventName } from "../policy/given-event.ts";
import type { ExecSubject, Subject } from "../policy/subject.ts";
import { type EventRecord, parseRecord, type RecordValue } from "../report/event-record.ts";
import { type EnvironmentVariables, type ProcessFacts, unknownFacts } from "../sensor/event.ts";
import { isEnvironmentVariable, nameInEnvironment } from "../vocabulary/environment.ts";
import type { PodOfContainer } from "../vocabulary/pod.ts";

export interface RecordedSubjects {
  /** Names programs as the host does. */
  readonly identify: Identify;
  /** What the baseline knows of the tree now. */
  readonly knowledgeOf: (record: EventRecord, runnable: Runnable) => Knowledge;
  /** The environment variables that are read while a rule names one. */
  readonly environmentNames: readonly string[];
}

/** The subject of the event that a verdict or a new tree records; undefined if the record has no tree. */
export function recordedSubject(record: EventRecord, options: RecordedSubjects): Subject | undefined {
  const exec = recordedExec(record, options);
  const name = networkEventName(record["event.kind"]);
  if (exec === undefined || name === undefined) return exec;
  return givenNetworkSubject(exec, { ...record, "event.name": name });
}

function recordedExec(record: EventRecord, options: RecordedSubjects): ExecSubject | undefined {
  const tree = treeIn(record);
  if (tree === undefined) return undefined;
  const facts = factsIn(record, options.environmentNames);
  const runnable: Runnable = {
    ...options.identify(facts),
    script: facts.script,
    path: text(record["process.runnable.path"]),
    inline: record["process.script.inline"] === true,
    name: tree.names.at(-1) ?? "",
    label: tree.labels.at(-1) ?? "",
  };
  const containerId = orNull(record["container.id"], text);
  const lineage = lineageIn(record, tree, runnable, facts.uid, containerId ?? null, options.identify);
  const time = Date.parse(String(record.timestamp));
  const userName = text(record["process.user.name"]);
  return {
    kind: "exec",
    source: "procfs",
    time: 0,
    wallTime: Number.isNaN(time) ? 0 : time,
    process: { pid: number(record["process.pid"]) ?? 0, startTicks: 0, startExact: false },
    facts,
    runnable,
    lineage,
    tree,
    parentPid: number(record["process.parent_pid"]),
    parent: lineage.parent ?? undefined,
    knowledge: options.knowledgeOf(record, runnable),
    containerId,
    unit: orNull(record["process.unit"], text),
    containerImage: text(record["container.image.name"]),
    pod: podIn(record),
    examined: {
      package: orNull(record["process.executable.package"], text),
      unpackaged: truth(record["process.executable.unpackaged"]),
      modified: truth(record["process.executable.modified"]),
    },
    changed: truth(record["process.runnable.changed"]),
    bootTimeMs: 0,
    userName: (uid) => (uid === facts.uid ? userName : undefined),
  };
}

function podIn(record: EventRecord): PodOfContainer | null | undefined {
  const name = orNull(record["k8s.pod.name"], text);
  if (typeof name !== "string") return name;
  const [namespace, container] = [text(record["k8s.namespace.name"]), text(record["k8s.container.name"])];
  return { name, namespace, container };
}

/** What the record has of the facts of the exec. */
function factsIn(record: EventRecord, environmentNames: readonly string[]): ProcessFacts {
  return {
    ...unknownFacts,
    executable: text(record["process.executable.path"]),
    executableDeleted: truth(record["process.executable.deleted"]),
    executableMemfd: truth(record["process.executable.memfd"]),
    executableSetuid: truth(record["process.executable.setuid"]),
    executableAge: number(record["process.executable.age"]),
    script: text(record["process.script.path"]),
    args: texts(record["process.command_args"]),
    argsTruncated: record["process.args_truncated"] === true,
    cwd: text(record["process.working_directory"]),
    uid: number(record["process.user.id"]),
    realUid: number(record["process.real_user.id"]),
    loginUid: orNull(record["process.login_user.id"], number),
    sessionId: number(record["process.session_id"]),
    tty: orNull(record["process.tty"], text),
    cgroup: text(record["process.linux.cgroup"]),
    environment: environmentIn(record, environmentNames),
    environmentTruncated: truth(record["process.environment_truncated"]),
  };
}

/** What a baseline has of a tree as records of execs, one for each executable of its leaf; none of a destination. */
export function recordsOfEntry(entry: BaselineEntry): readonly EventRecord[] {
  const { scope, exact, habit, tree, path, users, executables } = entry;
  if (isDestination(path)) return [];
  const [image] = scope.startsWith("container/") ? [scope.slice("container/".length)] : [];
  const isUnit = /\.(?:service|scope)$/.test(scope);
  const user = users.length === 1 ? users[0] : undefined;
  const args = entry.arguments?.endsWith(" ...") === false ? entry.arguments.split(" ") : undefined;
  const labels = tree.split("/").slice(tree.startsWith("/random/") ? 2 : 1);
  return (executables.length === 0 ? [undefined] : executables).map((executable) => ({
    "event.name": "tree.new",
    "tree.path": tree,
    "tree.exact": exact,
    "tree.habit": habit,
    "tree.labels": labels,
    "tree.complete": entry.complete,
    "process.runnable.path": path,
    "container.id": image === undefined ? null : "recorded",
    ...(image === undefined ? {} : { "container.image.name": image }),
    ...(isUnit ? { "process.unit": scope } : scope === "-" ? { "process.unit": null } : {}),
    ...(user === undefined ? {} : { "process.user.id": user, "tree.user_ids": [user] }),
    ...(args === undefined ? {} : { "process.command_args": args }),
    ...(executable === undefined ? {} : executableFields(executable)),
  }));
}

function executableFields(executable: BaselineEntry["executables"][number]): EventRecord {
  const { path, package: owner, modified } = executable;
  return {
    "process.executable.path": path,
    ...(owner === undefined
      ? {}
      : { "process.executable.package": owner, "process.executable.modified": modified }),
    ...(owner === undefined ? {} : { "process.executable.unpackaged": owner === null }),
  };
}

function treeIn(record: EventRecord): Tree | undefined {
  const { "tree.path": path, "tree.exact": exact, "tree.habit": habit = exact } = record;
  if (typeof path !== "string" || typeof exact !== "string" || typeof habit !== "string") return undefined;
  const names = labelsIn(exact);
  const labels = record["tree.labels"];
  const userIds = record["tree.user_ids"];
  return {
    path,
    id: String(record["tree.id"] ?? ""),
    exact,
    habit,
    labels: Array.isArray(labels) ? labels.map(String) : labelsIn(path),
    names,
    habitNames: labelsIn(habit),
    random: record["tree.random"] === true || path.startsWith("/random/"),
    unscored: false,
    randomness: number(record["tree.randomness"]) ?? 0,
    entropy: number(record["tree.entropy"]),
    complete: record["tree.complete"] === true,
    truncated: record["tree.truncated"] === true,
    userIds: Array.isArray(userIds) ? userIds.filter((id) => typeof id === "number") : undefined,
  };
}

/**
 * The lineage: of the recorded ancestors, or else of the labels of the exact tree, which name the programs without their
 * paths.
 */
function lineageIn(
  record: EventRecord,
  tree: Tree,
  leaf: Runnable,
  uid: number | undefined,
  container: string | null,
  identify: Identify,
): Lineage {
  const lineages = new Lineages();
  const above = ancestorsIn(record, identify) ?? tree.names.slice(0, -1).map(named);
  let lineage: Lineage | null = null;
  for (const [index, { program, uid: its, isInit }] of [
    ...above,
    { program: leaf, uid, isInit: false },
  ].entries()) {
    lineage = lineages.intern(lineage, {
      program,
      earlier: [],
      uid: its,
      container: index === above.length ? container : null,
      complete: tree.complete,
      init: isInit,
      elided: null,
    });
    lineages.retain(lineage);
  }
  if (lineage === null) throw new Error("a lineage has at least its leaf");
  return lineage;
}

interface RecordedAncestor {
  readonly program: Runnable;
  readonly uid: number | undefined;
  readonly isInit: boolean;
}

function ancestorsIn(record: EventRecord, identify: Identify): readonly RecordedAncestor[] | undefined {
  const recorded = record["process.ancestors"];
  if (!Array.isArray(recorded)) return undefined;
  return recorded.flatMap((json) => {
    const ancestor = parseRecord(String(json));
    if (ancestor === undefined) return [];
    const path = text(ancestor["process.runnable.path"]);
    const executable = text(ancestor["process.executable.path"]) ?? path;
    const script = path === executable ? undefined : path;
    const facts = { ...unknownFacts, executable, script, args: texts(ancestor["process.command_args"]) };
    const uid = number(ancestor["process.user.id"]);
    return [{ program: { ...identify(facts), path, script }, uid, isInit: ancestor["process.pid"] === 1 }];
  });
}

/** A program of which only its label in the exact tree is known. */
function named(name: string): RecordedAncestor {
  const program = runnableOfName(name, name, undoUnambiguous(name) ?? name);
  return { program, uid: undefined, isInit: false };
}

/** Records have only variables that were set. `process.environment_truncated` is absent if none were read. */
function environmentIn(record: EventRecord, names: readonly string[]): EnvironmentVariables | undefined {
  if (record["process.environment_truncated"] !== false) return undefined;
  const environment = new Map<string, string | null>(names.map((name) => [name, null]));
  for (const [name, value] of Object.entries(record))
    if (isEnvironmentVariable(name) && typeof value === "string")
      environment.set(nameInEnvironment(name), undoUnambiguous(value) ?? value);
  return environment;
}

function labelsIn(tree: string): string[] {
  return tree.split("/").slice(1);
}

/** Undoes the escaping of records, because rules see text as the program had it. */
function text(value: RecordValue | undefined): string | undefined {
  return typeof value === "string" ? (undoUnambiguous(value) ?? value) : undefined;
}

function texts(value: RecordValue | undefined): string[] | undefined {
  return Array.isArray(value) ? value.map((each) => text(String(each)) ?? "") : undefined;
}

function number(value: RecordValue | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function truth(value: RecordValue | undefined): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

/** null if the process has none, undefined if that is not known. */
function orNull<T>(
  value: RecordValue | undefined,
  read: (value: RecordValue | undefined) => T | undefined,
): T | null | undefined {
  return value === null ? null : read(value);
}
