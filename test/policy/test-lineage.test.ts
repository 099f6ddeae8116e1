// What the lineage of a policy test gives is what rules then read.
import { describe, expect, test } from "bun:test";
import { readerOf, type VariableValue } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import {
  isTestVariable,
  judgedRows,
  type TestVariable,
  variableNames,
} from "../../src/vocabulary/variables.ts";
import type { LineageOfTest } from "./helpers.ts";

/** A value that nothing else implies. */
const samples: Readonly<Record<TestVariable, string | number | boolean | string[]>> = {
  "process.pid": 4711,
  "process.executable.path": "/opt/bin/tool",
  "process.command_args": ["tool", "-v"],
  "process.working_directory": "/srv",
  "process.user.id": 33,
  "process.user.name": "www-data",
  "process.real_user.id": 34,
  "process.linux.cgroup": "/system.slice/cron.service",
  "process.script.path": "/srv/job.py",
  "process.executable.deleted": true,
  "process.executable.memfd": true,
  "process.executable.setuid": true,
  "process.executable.age": 12.5,
  "process.executable.package": "coreutils",
  "process.executable.unpackaged": true,
  "process.executable.modified": true,
  "process.runnable.changed": true,
  "process.environment_truncated": true,
  "process.unit": "nginx.service",
  "process.login_user.id": 1000,
  "process.session_id": 7,
  "process.tty": "pts/3",
  "container.id": "0123456789ab",
  "container.image.name": "docker.io/library/nginx",
  "k8s.pod.name": "shop-7d9c",
  "k8s.namespace.name": "default",
  "k8s.container.name": "web",
};

function read(lineage: LineageOfTest, name: TestVariable): VariableValue {
  return readerOf(name)(testSubject({ lineage }));
}

function member(name: TestVariable): LineageOfTest[number] {
  return {
    "process.executable.path": "/usr/bin/python3",
    // A user's name is known by its number, an image by its container.
    "process.user.id": 1,
    "container.id": "feedfacefeed",
    [name]: samples[name],
  };
}

const names = variableNames.filter(isTestVariable);

describe.each(names.map((name) => [name] as const))("%s in a test", (name) => {
  test("is what rules read", () => {
    expect(read([member(name)], name)).toEqual(samples[name]);
  });

  const isInherited = judgedRows[name].inTests === "inherited";
  test(isInherited ? "is that of children too" : "is that of the process alone", () => {
    const ofChild = read([member(name), "/bin/true"], name);
    if (isInherited) expect(ofChild).toEqual(samples[name]);
    else expect(ofChild).not.toEqual(samples[name]);
  });

  test("is ordinary, or absent, where the test does not give it", () => {
    if (["process.pid", "process.executable.path", "process.script.path"].includes(name)) return;
    const value = read(["/bin/true"], name);
    const { ordinary } = judgedRows[name];
    const isOfContainer = name.startsWith("container.") || name.startsWith("k8s.");
    expect(value).toBe(isOfContainer ? null : ordinary);
  });
});

describe("an environment variable in a test", () => {
  const preload = "process.environment_variable.LD_PRELOAD";
  const program = { "process.executable.path": "/usr/bin/ls" };
  const valueIn = (member: object) =>
    readerOf(preload)(
      testSubject({
        lineage: [
          { ...program, [preload]: "/parent.so" },
          { ...program, ...member },
        ],
      }),
    );

  test("is what the entry gives, and not set if it gives none: a parent's is not inherited", () => {
    expect(valueIn({ [preload]: "/x.so" })).toBe("/x.so");
    expect(valueIn({})).toBeNull();
  });

  test("is absent in an environment that is too large", () => {
    expect(valueIn({ [preload]: "/x.so", "process.environment_truncated": true })).toBeUndefined();
  });
});
