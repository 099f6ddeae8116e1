// The subject of a decision, and how each variable is read from it.

import type { Knowledge } from "../baseline/baseline.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import type { Tree } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { ListenEvent, NetworkEvent, ProcessFacts, SensorSource } from "../sensor/event.ts";
import {
  type EnvironmentVariable,
  isEnvironmentVariable,
  nameInEnvironment,
} from "../vocabulary/environment.ts";
import { eventKinds, type JudgedKind, type NetworkKind } from "../vocabulary/event-kinds.ts";
import type { PodOfContainer } from "../vocabulary/pod.ts";
import { creationTime, type ProcessKey } from "../vocabulary/process-key.ts";
import {
  type ExpensiveVariable,
  isExpensive,
  type JudgedVariable,
  type ValueOf,
} from "../vocabulary/variables.ts";

/** The parent process as it was when it forked the process. */
export type Parent = Pick<Lineage, "program" | "uid">;

/** What every subject has: an event of a process, and what is known of that process. */
interface ProcessSubject {
  readonly source: SensorSource;
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly time: number;
  /** Milliseconds since the epoch. */
  readonly wallTime: number;
  readonly process: ProcessKey;
  readonly facts: ProcessFacts;
  /** The runnable of `lineage`, as `tree` is its tree. */
  readonly runnable: Runnable;
  readonly lineage: Lineage;
  readonly tree: Tree;
  /** The process that forked it, not the one that adopts an orphan later. */
  readonly parentPid: number | undefined;
  /**
   * The lineage does not identify the parent, because a child that runs the same program as its parent shares the parent's
   * node. undefined if there is no parent or it was never seen.
   */
  readonly parent: Parent | undefined;
  readonly knowledge: Knowledge;
  /** null on the host. */
  readonly containerId: string | null | undefined;
  /** Folded, see `process.unit`; null outside any unit. */
  readonly unit: string | null | undefined;
  /** Without its tag. */
  readonly containerImage: string | undefined;
  /** null: the process belongs to no pod of Kubernetes; undefined: that is not known. */
  readonly pod: PodOfContainer | null | undefined;
  /** The examiner's answer about the executable's file; absent until it has answered. */
  readonly examined?: ExaminedFile | undefined;
  /**
   * Whether the runnable's file holds a content that the baseline does not know; absent if that is not known. Set before
   * the subject is judged.
   */
  changed?: boolean | undefined;
  /** The change to which the event belongs; undefined for none. No rule names it. */
  change?: string | undefined;
  /** Milliseconds since the epoch at which start ticks are 0, fixed once per boot. */
  readonly bootTimeMs: number;
  userName(uid: number): string | undefined;
}

export interface ExecSubject extends ProcessSubject {
  readonly kind: "exec";
}

/** A path that no file has. */
const NO_FILE = "/\u0000";

/**
 * The exec with no path that a condition could name, for `RuleEvaluator.decideAnew`: in the mounts of a user, and below more
 * folders than can be reported, a file can have, or lack, any path.
 */
export function withoutPath(subject: ExecSubject): ExecSubject {
  return { ...subject, runnable: { ...subject.runnable, executable: NO_FILE, path: NO_FILE } };
}

/** A process uses the network. Of `facts`, only what lasts beyond an exec is known. */
interface SocketSubject<K extends NetworkKind> extends ProcessSubject {
  readonly kind: K;
  readonly network: NetworkEvent & { readonly kind: K };
  /** Name of the peer's address; null: none is known. Absent: a listener has no peer. */
  readonly peerName?: string | null | undefined;
  /** Whether the baseline has the peer; null: no destinations were ever accepted. Absent if that is not known. */
  readonly peerKnown?: boolean | null | undefined;
}

/** The subject of each judged kind of event. The type checker names a kind that is missing here. */
interface SubjectTypes {
  readonly exec: ExecSubject;
  readonly connect: SocketSubject<"connect">;
  readonly send: SocketSubject<"send">;
  readonly listen: SocketSubject<"listen">;
}

export type NetworkSubject = SubjectTypes[NetworkKind];

/** The subject of what a process does on the network. `process`: what is known of it then. `peer`: see the subject. */
export function subjectOfNetwork(
  process: Omit<ExecSubject, "kind">,
  event: NetworkEvent,
  peer: {
    readonly peerName?: string | null | undefined;
    readonly peerKnown?: boolean | null | undefined;
  } = {},
): NetworkSubject {
  // Named one by one, as the runtime copies an object at once only for the first spread of a literal.
  const { peerName, peerKnown } = peer;
  switch (event.kind) {
    case "connect":
      return { ...process, kind: event.kind, network: event, peerName, peerKnown };
    case "send":
      return { ...process, kind: event.kind, network: event, peerName, peerKnown };
    case "listen":
      return { ...process, kind: event.kind, network: event };
  }
}

/** What a policy decides about. */
export type Subject = SubjectTypes[JudgedKind];

/** A variable's value. undefined means absent (not known); null means that the process has none. */
export type VariableValue =
  | string
  | number
  | boolean
  | null
  | readonly string[]
  | readonly number[]
  | undefined;

/** Stands for a value that is known but not computed yet. */
export const pending: readonly string[] = Object.freeze(["pending"]);

export type Reader = (subject: Subject) => VariableValue;

function containerImage(subject: Subject): string | null | undefined {
  return subject.containerId === null ? null : subject.containerImage;
}

function networkOf(subject: Subject): NetworkEvent | undefined {
  return subject.kind === "exec" ? undefined : subject.network;
}

function peerOf(subject: Subject): Exclude<NetworkEvent, ListenEvent> | undefined {
  const event = networkOf(subject);
  return event === undefined || event.kind === "listen" ? undefined : event;
}

/** One reader for each variable that is known before the verdict, with the type of the variable's row. */
const readers: {
  readonly [N in Exclude<JudgedVariable, EnvironmentVariable>]: (subject: Subject) => ValueOf<N> | undefined;
} = {
  "event.name": (s) => eventKinds[s.kind].eventName,
  "process.pid": (s) => s.process.pid,
  "process.creation.time": (s) => creationTime(s.process, s.bootTimeMs),
  "process.parent_pid": (s) => s.parentPid,
  "process.executable.path": (s) => s.runnable.executable,
  "process.executable.name": (s) => s.runnable.executableName,
  "process.command_args": (s) => s.facts.args,
  "process.command_line": (s) => s.facts.args?.join(" "),
  "process.args_truncated": (s) => (s.facts.args === undefined ? undefined : s.facts.argsTruncated),
  "process.working_directory": (s) => s.facts.cwd,
  "process.user.id": (s) => s.facts.uid,
  "process.user.name": (s) => (s.facts.uid === undefined ? undefined : s.userName(s.facts.uid)),
  "process.real_user.id": (s) => s.facts.realUid,
  "process.interactive": (s) => (s.facts.tty === undefined ? undefined : s.facts.tty !== null),
  "process.linux.cgroup": (s) => s.facts.cgroup,
  "process.runnable.path": (s) => s.runnable.path,
  "process.runnable.changed": (s) => s.changed,
  "process.script.path": (s) =>
    s.runnable.executable === undefined ? undefined : (s.runnable.script ?? null),
  "process.script.inline": (s) => (s.runnable.executable === undefined ? undefined : s.runnable.inline),
  "process.parent.executable.path": (s) => s.parent?.program.executable,
  "process.parent.executable.name": (s) => s.parent?.program.executableName,
  "process.parent.user.id": (s) => s.parent?.uid,
  "process.executable.deleted": (s) => s.facts.executableDeleted,
  "process.executable.memfd": (s) => s.facts.executableMemfd,
  "process.executable.setuid": (s) => s.facts.executableSetuid,
  "process.executable.age": (s) => s.facts.executableAge,
  "process.environment_truncated": (s) => s.facts.environmentTruncated,
  "process.executable.package": (s) => s.examined?.package,
  "process.executable.unpackaged": (s) => s.examined?.unpackaged,
  "process.executable.modified": (s) => s.examined?.modified,
  "process.in_container": (s) => (s.containerId === undefined ? undefined : s.containerId !== null),
  "process.unit": (s) => s.unit,
  "process.login_user.id": (s) => s.facts.loginUid,
  "process.session_id": (s) => s.facts.sessionId,
  "process.tty": (s) => s.facts.tty,
  "container.id": (s) => s.containerId,
  "container.image.name": containerImage,
  "k8s.pod.name": ({ pod }) => (pod === null ? null : pod?.name),
  "k8s.namespace.name": ({ pod }) => (pod === null ? null : pod?.namespace),
  "k8s.container.name": ({ pod }) => (pod === null ? null : pod?.container),
  "network.transport": (s) => networkOf(s)?.transport,
  "network.type": (s) => networkOf(s)?.family,
  "network.peer.address": (s) => peerOf(s)?.peerAddress,
  "network.peer.port": (s) => peerOf(s)?.peerPort,
  "destination.name": (s) => (s.kind === "exec" ? undefined : s.peerName),
  "destination.known": (s) => (s.kind === "exec" ? undefined : s.peerKnown),
  "network.local.address": (s) => networkOf(s)?.localAddress,
  "network.local.port": (s) => networkOf(s)?.localPort,
  "tree.path": (s) => s.tree.path,
  "tree.id": (s) => s.tree.id,
  "tree.exact": (s) => s.tree.exact,
  "tree.habit": (s) => s.tree.habit,
  "tree.labels": (s) => s.tree.labels,
  "tree.depth": (s) => s.tree.labels.length,
  "tree.user_ids": (s) => s.tree.userIds,
  "tree.random": (s) => s.tree.random,
  "tree.randomness": (s) => s.tree.randomness,
  "tree.entropy": (s) => s.tree.entropy,
  "tree.known": (s) => s.knowledge.known,
  "tree.familiar": (s) => s.knowledge.familiar,
  "tree.age": (s) => s.knowledge.age,
  "tree.count": (s) => s.knowledge.count,
  "tree.complete": (s) => s.tree.complete,
  "tree.truncated": (s) => s.tree.truncated,
  "sensor.source": (s) => s.source,
};

/** The reader of a variable. Callers look it up once, not for each subject. */
export function readerOf(name: JudgedVariable): Reader {
  if (!isEnvironmentVariable(name)) return readers[name];
  const wanted = nameInEnvironment(name);
  return ({ facts }) => facts.environment?.get(wanted);
}

/** Tests whether an expensive variable is known, without computing its value. */
const knownTests: Readonly<Record<ExpensiveVariable, (subject: Subject) => boolean>> = {
  "process.command_line": (s) => s.facts.args !== undefined,
  "process.creation.time": (s) => s.process.startExact,
  "tree.id": () => true,
};

/** A reader that returns `pending` if an expensive variable is known. undefined for other variables. */
export function presenceReaderOf(name: JudgedVariable): Reader | undefined {
  if (!isExpensive(name)) return undefined;
  const isKnown = knownTests[name];
  return (subject) => (isKnown(subject) ? pending : undefined);
}
