// In a mount namespace that a user has made any file can have any path: there a path may have a rule match, and keeps none
// from it.
import { expect, test } from "bun:test";
import { decide } from "../../src/policy/policy.ts";
import type { ExecSubject } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { policyOf } from "./helpers.ts";

const path = { var: "process.executable.path" };

/** The exec of a program below nginx, in mounts of a user. */
function execOf(program: string, facts: Partial<ExecSubject["facts"]> = {}): ExecSubject {
  const subject = testSubject({ lineage: ["/usr/sbin/nginx", program] });
  return { ...subject, facts: { ...subject.facts, userMounts: true, ...facts } };
}

const only = policyOf([
  { id: "k", when: { under: ["nginx"] }, except: [{ "==": [path, "/usr/bin/logger"] }], action: "kill" },
]);

test("an exception for a path holds for no program there, however often it is asked about", () => {
  for (let i = 0; i < 4; i += 1) {
    expect(decide(only, execOf("/usr/bin/logger"))).toMatchObject({ action: "kill", rule: "k" });
    expect(decide(only, execOf("/usr/bin/logger", { userMounts: false })).action).toBe("allow");
  }
});

test("an allow for a path neither", () => {
  const allowed = policyOf([
    { id: "a", when: { in: [{ var: "process.runnable.path" }, ["/usr/bin/logger"]] }, action: "allow" },
    { id: "k", when: { under: ["nginx"] }, action: "kill" },
  ]);
  expect(decide(allowed, execOf("/usr/bin/logger")).action).toBe("kill");
  expect(decide(allowed, execOf("/usr/bin/logger", { userMounts: false })).action).toBe("allow");
});

test("a rule that kills by a path still does", () => {
  const byPath = policyOf([{ id: "k", when: { "==": [path, "/usr/bin/nc"] }, action: "kill" }]);
  expect(decide(byPath, execOf("/usr/bin/nc")).action).toBe("kill");
  expect(decide(byPath, execOf("/usr/bin/gzip")).action).toBe("allow");
});

test("in a container the paths are those of its image", () => {
  const cgroup = `/system.slice/docker-${"a".repeat(64)}.scope`;
  expect(decide(only, execOf("/usr/bin/logger", { cgroup })).action).toBe("allow");
});
