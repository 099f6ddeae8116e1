import { expect, test } from "bun:test";
import { Baseline } from "../../src/baseline/baseline.ts";
import { keyOf } from "../../src/baseline/key.ts";
import { createIdentifier, identify } from "../../src/fingerprint/identify.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { Lineages } from "../../src/forest/lineage.ts";

const ls = {
  executable: "/usr/bin/ls",
  executableMemfd: false,
  filename: undefined,
  script: undefined,
  args: ["ls"],
  cwd: "/",
  cgroup: "/user.slice/session-1.scope",
};
const container = `/system.slice/docker-${"c".repeat(64)}.scope`;

test("what lies at a path among a user's mounts is not base, whatever was asked before", () => {
  const own = createIdentifier();
  for (let i = 0; i < 2; i++) {
    expect(own(ls)).toMatchObject({ label: "base", folded: "/usr/bin/ls" });
    expect(own({ ...ls, userMounts: true })).toMatchObject({ label: "ls", folded: "userns:/usr/bin/ls" });
    expect(own({ ...ls, userMounts: false }).label).toBe("base");
  }
});

test("so is a script there", () => {
  const job = { ...ls, executable: "/usr/bin/python3", args: ["python3", "/usr/bin/job"], userMounts: true };
  expect(identify(job)).toMatchObject({ path: "/usr/bin/job", folded: "userns:/usr/bin/job" });
});

test("in a container paths are the image's anyway", () => {
  expect(identify({ ...ls, cgroup: container, userMounts: true })).toMatchObject({
    label: "base",
    folded: "/usr/bin/ls",
  });
});

test("neither one makes the other known, but a learned one is known again", () => {
  const leafOf = (userMounts: boolean) =>
    new Lineages().intern(null, {
      program: identify({ ...ls, userMounts }),
      earlier: [],
      uid: 0,
      container: null,
      complete: true,
      init: false,
      elided: null,
    });
  for (const learned of [true, false]) {
    const key = keyOf(leafOf(learned), "-");
    if (key === undefined) throw new Error("no key");
    const baseline = new Baseline();
    const { path: tree, exact } = treeOf(leafOf(learned));
    const times = { first: 0, last: 0, count: 1, users: [], hosts: 1 };
    const lineage = { complete: true, beforeHabits: false, fromMain: false };
    baseline.add({
      ...key,
      ...times,
      ...lineage,
      tree,
      exact,
      executables: [],
      contents: "unknown",
      arguments: undefined,
    });
    for (const asked of [true, false])
      expect(baseline.knowledge(leafOf(asked), "-", 0).known).toBe(asked === learned);
  }
});
