// The lineage of a policy test, told in the vocabulary, as a subject: made by the real fingerprint code.
import { identify, kernelThread } from "../fingerprint/identify.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { treeOf } from "../fingerprint/tree.ts";
import { type Lineage, Lineages } from "../forest/lineage.ts";
import { containerOf, unitOf } from "../linux/cgroup-names.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { isVariableName, type VariableName, vocabulary } from "../vocabulary/variables.ts";
import { type Document, elements, nodeAt, property } from "./document.ts";
import type { LoadedRole } from "./resolve.ts";
import type { TestEntry } from "./schema.ts";
import type { Parent, Subject } from "./subject.ts";

type Given = TestEntry["lineage"][number];
type Member = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** What a lineage of a test may say of a process; everything else follows from it. */
const settable: ReadonlySet<VariableName> = new Set<VariableName>([
  "process.pid",
  "process.executable.path",
  "process.command_args",
  "process.working_directory",
  "process.user.id",
  "process.user.name",
  "process.real_user.id",
  "process.linux.cgroup",
  "process.script.path",
  "process.executable.deleted",
  "process.executable.memfd",
  "process.executable.setuid",
  "process.executable.age",
  "process.unit",
  "process.login_user.id",
  "process.session_id",
  "process.tty",
  "container.id",
  "container.image.name",
]);

/** Reports names that a test cannot set, and values of the wrong type. */
export function checkTests(role: LoadedRole): void {
  const { source } = role;
  if (source === undefined) return;
  const tests = elements(nodeAt(source.root, ["tests"]));
  for (const [i, test] of (role.file.tests ?? []).entries()) {
    for (const [k, member] of test.lineage.entries()) {
      const node = nodeAt(tests[i] ?? source.root, ["lineage", k]);
      if (typeof member === "string") {
        if (!member.startsWith("/"))
          source.document.report(node, `"${member}" is not an absolute path`, `"/usr/bin/${member}"`);
        continue;
      }
      for (const [name, value] of Object.entries(member)) {
        const at = property(node, name)?.key ?? node;
        if (!isVariableName(name) || !settable.has(name)) {
          source.document.report(
            at,
            `"${name}" follows from the rest and cannot be set`,
            `can be set: ${[...settable].join(", ")}`,
          );
        } else checkType(source.document, at, name, value);
      }
    }
  }
}

function checkType(
  document: Document,
  at: Parameters<Document["report"]>[0],
  name: VariableName,
  value: Member[string],
): void {
  const { type, nullable } = vocabulary[name];
  // A kernel thread has no executable.
  if (value === null && (nullable || name === "process.executable.path")) return;
  const fits = Array.isArray(value)
    ? type === "string[]"
    : type === "string"
      ? typeof value === "string"
      : type === "bool"
        ? typeof value === "boolean"
        : type !== "string[]" && typeof value === "number";
  if (!fits)
    document.report(at, `"${name}" is ${type}${nullable ? " or null" : ""}, not ${JSON.stringify(value)}`);
}

/** Any time will do: 2000-01-01, with the boot a day before. */
const NOW = Date.UTC(2000, 0, 1);
const DAY_MS = 86_400_000;
const FIRST_PID = 1000;

/** The subject of a test: its lineage root to leaf, of which the last has just been executed. */
export function testSubject(test: Pick<TestEntry, "lineage" | "known">): Subject {
  const lineages = new Lineages<Runnable>();
  const names = new Map<number, string>();
  let lineage: Lineage<Runnable> | null = null;
  let parent: (Parent & { pid: number }) | undefined;
  let before: Member = {};
  let made: Subject | undefined;
  for (const [i, given] of test.lineage.entries()) {
    const member = memberOf(given, before);
    const facts = factsOf(member);
    const runnable = member["process.executable.path"] === null ? kernelThread : identify(facts);
    const pid = numberOf(member["process.pid"]) ?? FIRST_PID + i;
    const container = textOrNull(member["container.id"]) ?? null;
    lineage = lineages.intern(lineage, {
      program: runnable,
      earlier: [],
      uid: facts.uid,
      container,
      complete: true,
      init: pid === 1,
      elided: null,
    });
    lineages.retain(lineage);
    const user = textOrNull(member["process.user.name"]);
    if (facts.uid !== undefined && typeof user === "string") names.set(facts.uid, user);
    made = {
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
      knowledge: test.known === undefined ? {} : { known: test.known, familiar: test.known },
      containerId: container,
      containerImage: textOrNull(member["container.image.name"]) ?? undefined,
      unit: textOrNull(member["process.unit"]),
      bootTimeMs: NOW - DAY_MS,
      userName: (uid) => names.get(uid),
    };
    parent = { runnable, uid: facts.uid, pid };
    before = member;
  }
  if (made === undefined) throw new Error("a test's lineage is empty");
  return made;
}

/** Handed on by fork and exec, unless the member says otherwise. */
const inherited: readonly VariableName[] = [
  "process.working_directory",
  "process.user.id",
  "process.user.name",
  "process.real_user.id",
  "process.linux.cgroup",
  "process.unit",
  "process.login_user.id",
  "process.session_id",
  "process.tty",
  "container.id",
  "container.image.name",
];

/** What an ordinary process of a host has not. What a program cannot be assumed to have (a user) stays unknown. */
const ordinary: Member = {
  "process.unit": null,
  "process.login_user.id": null,
  "process.tty": null,
  "container.id": null,
  "process.executable.deleted": false,
  "process.executable.memfd": false,
  "process.executable.setuid": false,
};

function memberOf(given: Given, before: Member): Member {
  const own: Member = typeof given === "string" ? { "process.executable.path": given } : given;
  const handed: Record<string, Member[string]> = {};
  for (const name of inherited) {
    const value = before[name];
    if (value !== undefined) handed[name] = value;
  }
  const cgroup = own["process.linux.cgroup"];
  if (typeof cgroup === "string") {
    handed["process.unit"] = unitOf(cgroup);
    handed["container.id"] = containerOf(cgroup);
  }
  const uid = own["process.user.id"];
  if (uid !== undefined) {
    delete handed["process.user.name"];
    handed["process.real_user.id"] = uid;
  }
  return { ...ordinary, ...handed, ...own };
}

function factsOf(member: Member): ProcessFacts {
  const path = member["process.executable.path"];
  const args = member["process.command_args"];
  const executable = typeof path === "string" ? path : undefined;
  return {
    startTicks: 0,
    parentPid: undefined,
    executable,
    executableDeleted: truthOf(member["process.executable.deleted"]),
    executableMemfd: truthOf(member["process.executable.memfd"]),
    executableSetuid: truthOf(member["process.executable.setuid"]),
    executableAge: numberOf(member["process.executable.age"]),
    filename: undefined,
    script: textOrNull(member["process.script.path"]) ?? undefined,
    args: Array.isArray(args) ? args : undefined,
    argsTruncated: false,
    cwd: textOrNull(member["process.working_directory"]) ?? undefined,
    uid: numberOf(member["process.user.id"]),
    realUid: numberOf(member["process.real_user.id"]),
    gid: undefined,
    loginUid: member["process.login_user.id"] === null ? null : numberOf(member["process.login_user.id"]),
    sessionId: numberOf(member["process.session_id"]),
    tty: textOrNull(member["process.tty"]),
    cgroup: textOrNull(member["process.linux.cgroup"]) ?? undefined,
    device: undefined,
    inode: undefined,
    mountNamespace: undefined,
    pidNamespace: undefined,
    userMounts: undefined,
  };
}

function textOrNull(value: Member[string] | undefined): string | null | undefined {
  return typeof value === "string" || value === null ? value : undefined;
}

function numberOf(value: Member[string] | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function truthOf(value: Member[string] | undefined): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}
