// Builds a subject from the lineage of a policy test, with the real fingerprint code.

import type { Knowledge } from "../baseline/baseline.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { identify, kernelThread } from "../fingerprint/identify.ts";
import { treeOf } from "../fingerprint/tree.ts";
import { type Lineage, Lineages } from "../forest/lineage.ts";
import { containerOf, unitOf } from "../linux/cgroup-names.ts";
import { type EnvironmentVariables, type ProcessFacts, unknownFacts } from "../sensor/event.ts";
import {
  defaultEnvironmentNames,
  type EnvironmentVariable,
  environmentVariable,
  isEnvironmentVariable,
  nameInEnvironment,
} from "../vocabulary/environment.ts";
import type { PodOfContainer } from "../vocabulary/pod.ts";
import type { VariableType } from "../vocabulary/variable-row.ts";
import {
  isTestVariable,
  judgedRow,
  judgedRows,
  type TestVariable,
  variableNames,
} from "../vocabulary/variables.ts";
import { type Document, elements, nodeAt, property } from "./document.ts";
import { checkTestEvent } from "./given-event.ts";
import type { LoadedRole } from "./resolve.ts";
import type { TestEntry } from "./schema.ts";
import type { ExecSubject, Parent } from "./subject.ts";

type Given = TestEntry["lineage"][number];
type Value = string | number | boolean | null | readonly string[];
/** One process of the lineage. */
type Member = { readonly [N in TestVariable]?: Value } & Readonly<Record<EnvironmentVariable, Value>>;

/** The variables that a test may set for a process; all others are derived from them. */
const testVariables = variableNames.filter(isTestVariable);
const inherited = testVariables.filter((name) => judgedRows[name].inTests === "inherited");
const ordinary: Member = Object.fromEntries(
  testVariables.flatMap((name) => {
    const value = judgedRows[name].ordinary;
    return value === undefined ? [] : [[name, value]];
  }),
);

/** Reports variables that a test cannot set, and values of the wrong type. */
export function checkTests(role: LoadedRole): void {
  const { source } = role;
  if (source === undefined) return;
  const tests = elements(nodeAt(source.root, ["tests"]));
  for (const [i, test] of (role.file.tests ?? []).entries()) {
    const { event } = test;
    if (event !== undefined)
      checkTestEvent(source.document, nodeAt(tests[i] ?? source.root, ["event"]), event);
    let parent: Member = {};
    for (const [k, member] of test.lineage.entries()) {
      const node = nodeAt(tests[i] ?? source.root, ["lineage", k]);
      const whole = memberOf(member, parent);
      parent = whole;
      if (typeof member === "string") {
        if (!member.startsWith("/"))
          source.document.report(node, `"${member}" is not an absolute path`, `"/usr/bin/${member}"`);
        continue;
      }
      for (const [name, value] of Object.entries(member)) {
        const at = property(node, name)?.key ?? node;
        if (isTestVariable(name) || isEnvironmentVariable(name)) checkType(source.document, at, name, value);
        else
          source.document.report(
            at,
            `"${name}" follows from the rest and cannot be set`,
            `can be set: ${[...testVariables, environmentVariable("NAME")].join(", ")}`,
          );
        checkNeeded(source.document, at, name, whole);
      }
    }
  }
}

interface NeededMember {
  readonly name: TestVariable;
  readonly example: string;
}

const inContainer: NeededMember = { name: "container.id", example: '"0123456789ab"' };

/** What a process must have besides, with an example: treewarden looks the name up by the number, the image by the id. */
const neededBy: ReadonlyMap<string, NeededMember> = new Map([
  ["process.user.name", { name: "process.user.id", example: "33" }],
  ["container.image.name", inContainer],
  ["k8s.pod.name", inContainer],
  ["k8s.namespace.name", inContainer],
  ["k8s.container.name", inContainer],
]);

/** A value that no rule would see is an error: the test would pass or fail for another reason than it shows. */
function checkNeeded(
  document: Document,
  at: Parameters<Document["report"]>[0],
  name: string,
  member: Member,
): void {
  const needed = neededBy.get(name);
  if (needed === undefined || (member[needed.name] ?? null) !== null) return;
  document.report(
    at,
    `"${name}" has no effect without "${needed.name}", here or in a process above`,
    `add "${needed.name}": ${needed.example}`,
  );
}

const typeChecks: Readonly<Record<VariableType, (value: Value) => boolean>> = {
  string: (value) => typeof value === "string",
  "string[]": Array.isArray,
  int: (value) => typeof value === "number",
  "int[]": () => false,
  number: (value) => typeof value === "number",
  bool: (value) => typeof value === "boolean",
};

function checkType(
  document: Document,
  at: Parameters<Document["report"]>[0],
  name: TestVariable | EnvironmentVariable,
  value: Value,
): void {
  const { type, nullable } = judgedRow(name);
  // A kernel thread has no executable.
  if (value === null && (nullable === true || name === "process.executable.path")) return;
  if (!typeChecks[type](value))
    document.report(
      at,
      `"${name}" is ${type}${nullable === true ? " or null" : ""}, not ${JSON.stringify(value)}`,
    );
}

/** An arbitrary time: 2000-01-01, with the boot one day before. */
const NOW = Date.UTC(2000, 0, 1);
const DAY_MS = 86_400_000;
const FIRST_PID = 1000;

/**
 * The subject of a test. Its lineage is listed from root to leaf; the leaf has just been executed. `environmentNames`:
 * what is read of its environment.
 */
export function testSubject(
  test: Pick<TestEntry, "lineage" | "known">,
  environmentNames: readonly string[] = defaultEnvironmentNames,
): ExecSubject {
  const lineages = new Lineages();
  const names = new Map<number, string>();
  let lineage: Lineage | null = null;
  let parent: (Parent & { pid: number }) | undefined;
  let parentMember: Member = {};
  let subject: ExecSubject | undefined;
  for (const [i, given] of test.lineage.entries()) {
    const member = memberOf(given, parentMember);
    const {
      pid: ownPid,
      isKernelThread,
      userName,
      unit,
      containerId,
      containerImage,
      pod,
      examined,
      changed,
      ...facts
    } = processOf(member, environmentNames);
    const runnable = isKernelThread ? kernelThread : identify(facts);
    const pid = ownPid ?? FIRST_PID + i;
    lineage = lineages.intern(lineage, {
      program: runnable,
      earlier: [],
      uid: facts.uid,
      container: containerId,
      complete: true,
      init: pid === 1,
      elided: null,
    });
    lineages.retain(lineage);
    if (facts.uid !== undefined && userName !== undefined) names.set(facts.uid, userName);
    subject = {
      kind: "exec",
      source: "ebpf",
      time: 0,
      wallTime: NOW,
      process: { pid, startTicks: 0, startExact: true },
      facts,
      runnable,
      lineage,
      tree: treeOf(lineage),
      parentPid: parent?.pid,
      parent,
      knowledge: knowledgeOf(test.known),
      containerId,
      containerImage,
      pod: containerId === null ? null : pod,
      unit,
      examined,
      changed,
      bootTimeMs: NOW - DAY_MS,
      userName: (uid) => names.get(uid),
    };
    parent = { program: runnable, uid: facts.uid, pid };
    parentMember = member;
  }
  if (subject === undefined) throw new Error("a test's lineage is empty");
  return subject;
}

/** Stands for the baseline in a test. Without it, the variables of the baseline are absent. */
function knowledgeOf(known: TestEntry["known"]): Knowledge {
  return known === undefined || known === "absent" ? {} : { known, familiar: known };
}

function memberOf(given: Given, parent: Member): Member {
  const explicit: Member = typeof given === "string" ? { "process.executable.path": given } : given;
  const fromParent: { [N in TestVariable]?: Value } = {};
  for (const name of inherited) {
    const value = parent[name];
    if (value !== undefined) fromParent[name] = value;
  }
  const cgroup = explicit["process.linux.cgroup"];
  if (typeof cgroup === "string") {
    fromParent["process.unit"] = unitOf(cgroup);
    fromParent["container.id"] = containerOf(cgroup);
  }
  const uid = explicit["process.user.id"];
  if (uid !== undefined) {
    delete fromParent["process.user.name"];
    fromParent["process.real_user.id"] = uid;
  }
  return { ...ordinary, ...fromParent, ...explicit };
}

/** The facts of a process that a test can set. */
interface TestProcess extends ProcessFacts {
  readonly pid: number | undefined;
  readonly isKernelThread: boolean;
  readonly userName: string | undefined;
  readonly unit: string | null | undefined;
  readonly containerId: string | null;
  readonly containerImage: string | undefined;
  readonly pod: PodOfContainer | null | undefined;
  readonly examined: ExaminedFile | undefined;
  readonly changed: boolean | undefined;
}

const unknownProcess: TestProcess = {
  ...unknownFacts,
  startTicks: 0,
  pid: undefined,
  isKernelThread: false,
  userName: undefined,
  unit: undefined,
  containerId: null,
  containerImage: undefined,
  pod: undefined,
  examined: undefined,
  changed: undefined,
};

/** The facts of the process that each variable of a test sets. */
const readings: Readonly<Record<TestVariable, (value: Value, of: TestProcess) => Partial<TestProcess>>> = {
  "process.pid": (value) => ({ pid: numberOf(value) }),
  "process.executable.path": (value) => ({ executable: textOf(value), isKernelThread: value === null }),
  "process.command_args": (value) => ({ args: Array.isArray(value) ? value : undefined }),
  "process.working_directory": (value) => ({ cwd: textOf(value) }),
  "process.user.id": (value) => ({ uid: numberOf(value) }),
  "process.user.name": (value) => ({ userName: textOf(value) }),
  "process.real_user.id": (value) => ({ realUid: numberOf(value) }),
  "process.linux.cgroup": (value) => ({ cgroup: textOf(value) }),
  "process.script.path": (value) => ({ script: textOf(value) }),
  "process.executable.deleted": (value) => ({ executableDeleted: truthOf(value) }),
  "process.executable.memfd": (value) => ({ executableMemfd: truthOf(value) }),
  "process.executable.setuid": (value) => ({ executableSetuid: truthOf(value) }),
  "process.executable.age": (value) => ({ executableAge: numberOf(value) }),
  "process.executable.package": (value, { examined }) => ({
    examined: { ...examined, package: textOrNull(value) },
  }),
  "process.executable.unpackaged": (value, { examined }) => ({
    examined: { ...examined, unpackaged: truthOf(value) },
  }),
  "process.executable.modified": (value, { examined }) => ({
    examined: { ...examined, modified: truthOf(value) },
  }),
  "process.runnable.changed": (value) => ({ changed: truthOf(value) }),
  "process.environment_truncated": (value) => ({ environmentTruncated: truthOf(value) }),
  "process.unit": (value) => ({ unit: textOrNull(value) }),
  "process.login_user.id": (value) => ({ loginUid: value === null ? null : numberOf(value) }),
  "process.session_id": (value) => ({ sessionId: numberOf(value) }),
  "process.tty": (value) => ({ tty: textOrNull(value) }),
  "container.id": (value) => ({ containerId: textOf(value) ?? null }),
  "container.image.name": (value) => ({ containerImage: textOf(value) }),
  "k8s.pod.name": (value, { pod }) => ({ pod: value === null ? null : { ...pod, name: textOf(value) } }),
  "k8s.namespace.name": (value, { pod }) => ({
    pod: value === null ? null : { ...pod, namespace: textOf(value) },
  }),
  "k8s.container.name": (value, { pod }) => ({
    pod: value === null ? null : { ...pod, container: textOf(value) },
  }),
};

function processOf(member: Member, environmentNames: readonly string[]): TestProcess {
  let process = unknownProcess;
  for (const name of testVariables) {
    const value = member[name];
    if (value !== undefined) process = { ...process, ...readings[name](value, process) };
  }
  if (process.environmentTruncated === true) return process;
  return { ...process, environment: environmentOf(member, environmentNames) };
}

/** What a test does not give is not set. */
function environmentOf(member: Member, names: readonly string[]): EnvironmentVariables {
  const environment = new Map<string, string | null>(names.map((name) => [name, null]));
  for (const [name, value] of Object.entries(member))
    if (isEnvironmentVariable(name) && (value === null || typeof value === "string"))
      environment.set(nameInEnvironment(name), value);
  return environment;
}

function textOf(value: Value): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function textOrNull(value: Value): string | null | undefined {
  return value === null ? null : textOf(value);
}

function numberOf(value: Value): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function truthOf(value: Value): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}
