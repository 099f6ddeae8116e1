// Execs that wait for answers are judged once more: once, in bounded number and time.
import { expect, test } from "bun:test";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { LateVerdicts } from "../../src/warden/late-verdicts.ts";
import { policyOf } from "../policy/helpers.ts";

const policy = policyOf([]);
const ls = testSubject({ lineage: [{ "process.executable.path": "/usr/bin/ls", "process.user.id": 0 }] });
const subject = { ...ls, facts: { ...ls.facts, realUid: 0 } };
const exec = { subject, seen: undefined, undecided: ["rule"], policy };

class Rig {
  judged = 0;
  missed: string[] = [];
  readonly late = new LateVerdicts({
    judge: () => {
      this.judged += 1;
    },
    missed: (reason) => this.missed.push(reason),
  });
}

test("an exec is judged when the last of its answers has come, and once", () => {
  const rig = new Rig();
  rig.late.add(exec, ["a", "b"], 0);
  rig.late.answered("a");
  rig.late.answered("a");
  expect(rig.judged).toBe(0);
  rig.late.answered("b");
  rig.late.answered("b");
  expect(rig.judged).toBe(1);
  expect(rig.late.dueIn(0)).toBeUndefined();
});

test("one answer serves all that wait for it", () => {
  const rig = new Rig();
  for (let i = 0; i < 3; i += 1) rig.late.add(exec, ["a"], i);
  rig.late.answered("a");
  expect(rig.judged).toBe(3);
});

test("an answer that does not come is waited for no longer than its time: what is known then decides", () => {
  const rig = new Rig();
  rig.late.add(exec, ["a", "b"], 0);
  rig.late.add(exec, ["b"], 1e9);
  const due = rig.late.dueIn(0) ?? 0;
  expect(due).toBeGreaterThan(10e9);
  rig.late.expire(due - 1);
  expect(rig.judged).toBe(0);
  rig.late.expire(due);
  expect([rig.judged, rig.missed]).toEqual([1, ["timeout"]]);
  rig.late.answered("b");
  rig.late.answered("a");
  expect(rig.judged).toBe(2);
});

test("a warden that ends judges what waits with what is known, and once", () => {
  const rig = new Rig();
  rig.late.add(exec, ["a", "b"], 0);
  rig.late.add(exec, ["b"], 1e9);
  rig.late.endAll();
  rig.late.answered("a");
  rig.late.answered("b");
  expect([rig.judged, rig.missed]).toEqual([2, ["stop", "stop"]]);
  expect(rig.late.dueIn(0)).toBeUndefined();
});

test("what finds no room is counted", () => {
  const rig = new Rig();
  for (let i = 0; i < 1030; i += 1) rig.late.add(exec, ["a"], 0);
  expect(rig.missed).toEqual(["full", "full", "full", "full", "full", "full"]);
  rig.late.answered("a");
  expect(rig.judged).toBe(1024);
});

test("a user who starts ever new programs leaves room for the verdicts on others", () => {
  const rig = new Rig();
  const of = (realUid: number) => ({
    ...exec,
    subject: { ...subject, facts: { ...subject.facts, realUid } },
  });
  for (let i = 0; i < 2000; i += 1) rig.late.add(of(1000), ["a"], 0);
  expect(rig.missed.length).toBe(2000 - 256);
  rig.late.add(of(1001), ["b"], 0);
  rig.late.answered("b");
  expect(rig.judged).toBe(1);
  // Room that is free again is that user's, too.
  rig.late.answered("a");
  rig.late.add(of(1000), ["c"], 0);
  rig.late.answered("c");
  expect(rig.judged).toBe(1 + 256 + 1);
});
