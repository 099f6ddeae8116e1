// What each row of the table of variables promises, held against the code that reads and reports the variable.
import { describe, expect, test } from "bun:test";
import { givenNetworkSubject } from "../../src/policy/given-event.ts";
import { type ExecSubject, readerOf, type Subject, type VariableValue } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { records, verdictRecord } from "../../src/report/records.ts";
import { dependencies } from "../../src/vocabulary/dependencies.ts";
import { type EventKind, judgedKinds } from "../../src/vocabulary/event-kinds.ts";
import { eventNames } from "../../src/vocabulary/event-names.ts";
import type { VariableType } from "../../src/vocabulary/variable-row.ts";
import {
  isCoveredBySettleKey,
  isJudged,
  isSharedByLineage,
  isVariableName,
  judgedNames,
  judgedRows,
  listedName,
  otlpAttribute,
  variableNames,
  variables,
} from "../../src/vocabulary/variables.ts";

/** An exec of which everything is known. */
const exec: ExecSubject = {
  ...testSubject({
    lineage: [
      {
        "process.executable.path": "/usr/sbin/nginx",
        "process.user.id": 33,
        "process.user.name": "www-data",
      },
      {
        "process.executable.path": "/usr/bin/python3",
        "process.command_args": ["python3", "/srv/job.py"],
        "process.working_directory": "/srv",
        "process.linux.cgroup": "/system.slice/nginx.service",
        "process.executable.age": 12.5,
        "process.environment_variable.NAME": "value",
        "process.session_id": 7,
        "process.tty": "pts/0",
        "process.login_user.id": 1000,
      },
    ],
  }),
  knowledge: { known: true, familiar: true, age: 60, count: 3 },
  examined: { package: "python3-minimal", unpackaged: false, modified: false },
  containerId: "0123456789ab",
  containerImage: "docker.io/library/nginx",
  pod: { name: "shop-7d9c", namespace: "prod", container: "web" },
};
/** A connection of the same process. */
const connection = givenNetworkSubject(exec, {
  "event.name": "network.connect",
  "network.peer.address": "203.0.113.7",
  "network.peer.port": 443,
  "destination.name": "db.example.org",
  "destination.known": true,
  "network.local.address": "192.0.2.1",
  "network.local.port": 40_000,
});
const stamp = () => "uid";

const typeChecks: Readonly<Record<VariableType, (value: VariableValue) => boolean>> = {
  string: (value) => typeof value === "string",
  "string[]": (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
  int: Number.isInteger,
  "int[]": (value) => Array.isArray(value) && value.every(Number.isInteger),
  number: (value) => typeof value === "number",
  bool: (value) => typeof value === "boolean",
};

describe.each(judgedNames.map((name) => [name] as const))("%s", (name) => {
  const { type, policiesOnly, kinds } = judgedRows[name];
  const isOfExecs = kinds === "all" || kinds.includes("exec");
  const subject: Subject = isOfExecs ? exec : connection;

  test("is read from a subject, with the type of its row", () => {
    expect(typeChecks[type](readerOf(name)(subject))).toBe(true);
  });

  test("is in the record of such an event, unless it is for policies only", () => {
    const record = isOfExecs ? records.exec(exec, "process.exec", stamp) : records.connect(connection, stamp);
    expect(name in record).toBe(policiesOnly !== true);
  });

  test("is of an event that is judged", () => {
    expect(kinds === "all" || judgedKinds.some((kind) => kinds.includes(kind))).toBe(true);
  });
});

describe("records", () => {
  const decision = {
    action: "kill",
    rule: "a",
    ruleset: "web",
    severity: "high",
    tags: ["t"],
    matched: ["a"],
    undecided: [],
    armed: true,
    silenced: false,
  } as const;
  const common = { source: "ebpf", time: 0, pid: 1 } as const;
  const ended = { pid: 1, startTicks: 1, startExact: true, parentPid: 2 };
  const tree = { path: "/a", id: "1" };
  const made = [
    ["exec", verdictRecord(exec, decision, "failed", "gone", "1", stamp)],
    ["connect", verdictRecord(connection, decision, "denied", undefined, "1", stamp)],
    ["connect", records.connect(connection, stamp)],
    ["exit", records.exit({ kind: "exit", status: 0, ...common }, ended, tree, 0, 0, stamp)],
    ["loss", records.loss({ kind: "loss", reason: "overrun", count: 1, ...common }, 0, stamp)],
  ] as const satisfies readonly (readonly [EventKind, object])[];

  test.each(made)("of an event of kind %s have only names whose rows have that kind", (kind, record) => {
    const strangers = Object.keys(record).filter((name) => {
      const kinds = isVariableName(name) ? variables[isJudged(name) ? listedName(name) : name].kinds : [];
      return kinds !== "all" && !kinds.includes(kind);
    });
    expect(strangers).toEqual([]);
  });
});

test("over OTLP OpenTelemetry's names go as they are, and all others with our prefix", () => {
  expect(otlpAttribute("process.pid")).toBe("process.pid");
  expect(otlpAttribute("error.message")).toBe("error.message");
  expect(otlpAttribute("tree.path")).toBe("treewarden.tree.path");
  expect(otlpAttribute("not.in.the.table")).toBe("treewarden.not.in.the.table");
  expect(otlpAttribute("constructor")).toBe("treewarden.constructor");
});

test.each([...Object.entries(variables), ...Object.entries(eventNames), ...Object.entries(dependencies)])(
  "%s is explained, as part of a sentence",
  (_, { meaning }) => {
    expect(meaning).toMatch(/^.{8,}[^.]$/);
  },
);

describe("what a lineage decides for good", () => {
  test.each(["tree.path", "tree.complete", "process.runnable.path"])("%s is part of it", (name) => {
    expect(isSharedByLineage(name)).toBe(true);
  });

  test.each([
    "process.pid",
    "process.command_args",
    "process.user.id",
    "process.parent.executable.path",
    "tree.known",
    "policy.action",
    "no.such.name",
  ])("%s is not", (name) => {
    expect(isSharedByLineage(name)).toBe(false);
  });
});

describe("what two execs of one settle key have in common", () => {
  test.each([
    "process.command_line",
    "process.user.name",
    "process.real_user.id",
    "process.parent.user.id",
    "process.working_directory",
    "process.tty",
    "process.unit",
    "process.executable.setuid",
    "tree.known",
  ] as const)("includes %s", (name) => {
    expect(isCoveredBySettleKey(name)).toBe(true);
  });

  test.each([
    "process.pid",
    "process.executable.age",
    "process.executable.modified",
    "process.runnable.changed",
    "tree.age",
    "tree.complete",
    "sensor.source",
  ] as const)("does not include %s", (name) => {
    expect(isCoveredBySettleKey(name)).toBe(false);
  });
});

test("a name is in the table under itself only", () => {
  expect(variableNames.every(isVariableName)).toBe(true);
  expect(["constructor", "", "process", "tree.paths"].some(isVariableName)).toBe(false);
});
