import { expect, test } from "bun:test";
import { inherited } from "../../src/supervisor/inherited.ts";
import {
  type Descriptors,
  mapDescriptors,
  parseSupervisorPlan,
  type SupervisorPlan,
} from "../../src/supervisor/supervisor-plan.ts";

const descriptors: Descriptors = {
  reportOfWarden: 32,
  reportOfReporter: 33,
  controlWarden: 34,
  controlOfWarden: 35,
  controlReporter: 36,
  controlOfReporter: 37,
  deadMan: 38,
  lock: 39,
  controlExaminer: 40,
  controlOfExaminer: 41,
  examinerOfWarden: 42,
  wardenOfExaminer: 43,
  packages: 44,
};
const plan: SupervisorPlan = {
  runId: "r",
  wardenArgs: ["--policy", "a b"],
  reporterArgs: [],
  examinerArgs: [],
  sensorFallback: true,
  reporterUser: { uid: 65534, gid: 65534 },
  deadManMs: 10_000,
  descriptors,
};

test("a plan crosses an execve unchanged", () => {
  expect(parseSupervisorPlan(JSON.stringify(plan))).toEqual(plan);
  expect(parseSupervisorPlan(JSON.stringify({ ...plan, standbyOf: 7 }))).toEqual({ ...plan, standbyOf: 7 });
});

test("what is no plan is refused", () => {
  expect(() => parseSupervisorPlan("")).toThrow();
  expect(() => parseSupervisorPlan("{}")).toThrow();
  expect(() =>
    parseSupervisorPlan(JSON.stringify({ ...plan, descriptors: { ...descriptors, lock: 1 } })),
  ).toThrow();
});

test("a standby is never mistaken for a child: no control socket gets a child's number in it", () => {
  let next = 3;
  const numbers = mapDescriptors(descriptors, () => next++);
  expect(next).toBe(16);
  expect(numbers.controlOfWarden).not.toBe(inherited.control);
  expect(numbers.controlOfReporter).not.toBe(inherited.control);
  expect(numbers.controlOfExaminer).not.toBe(inherited.control);
});
