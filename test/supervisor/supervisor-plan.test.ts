import { expect, test } from "bun:test";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { createSealedFile } from "../../src/linux/memfd.ts";
import { socketPair } from "../../src/linux/socketpair.ts";
import { copyHigh } from "../../src/linux/spawn.ts";
import { inherited } from "../../src/supervisor/inherited.ts";
import {
  type Descriptors,
  mapDescriptors,
  parseSupervisorPlan,
  planArguments,
  readPlan,
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
  wardenPlan: 45,
  reporterPlan: 46,
  examinerPlan: 47,
  deadManOfReporter: 48,
  deadManOfExaminer: 52,
  output: 49,
  outputOfReporter: 50,
};
const plan: SupervisorPlan = {
  runId: "r",
  sensorFallback: true,
  deadManMs: 10_000,
  descriptors,
};

test("a plan survives its encoding unchanged", () => {
  expect(parseSupervisorPlan(JSON.stringify(plan))).toEqual(plan);
  const standby = { ...plan, standbyOf: 7, updates: 51 };
  expect(parseSupervisorPlan(JSON.stringify(standby))).toEqual(standby);
});

test("a text that is not a plan is refused", () => {
  expect(() => parseSupervisorPlan("")).toThrow();
  expect(() => parseSupervisorPlan("{}")).toThrow();
  expect(() =>
    parseSupervisorPlan(JSON.stringify({ ...plan, descriptors: { ...descriptors, lock: 1 } })),
  ).toThrow();
});

test("a plan is read from the descriptor on the command line, by each process that has a copy of it", () => {
  const text = JSON.stringify({ ...plan, runId: "\u{1f333} \udc80".repeat(100_000) });
  const fd = createSealedFile("plan", text);
  const copy = copyHigh(fd);
  expect(planArguments("tw-1", fd)).toEqual(["tw-1", String(fd)]);
  expect(readPlan(planArguments("tw-1", fd))).toBe(text);
  expect(readPlan(planArguments("tw-1", copy))).toBe(text);
});

test("a command line without a plan's descriptor, as a user would type it, is refused", () => {
  expect(() => readPlan([])).toThrow(SyntaxError);
  expect(() => readPlan(["tw-1", "1000000"])).toThrow(SyntaxError);
  expect(() => readPlan(["tw-1", "-1"])).toThrow(SyntaxError);
  const [end, other] = socketPair(65_536);
  expect(() => readPlan(["tw-1", String(end)])).toThrow(SyntaxError);
  for (const fd of [end, other]) closeDescriptor(fd);
});

test("a standby is never mistaken for a child: its descriptor 4 is never a child's control socket", () => {
  let next = 3;
  const numbers = mapDescriptors(descriptors, () => next++);
  expect(next).toBe(23);
  expect(numbers.controlOfWarden).not.toBe(inherited.control);
  expect(numbers.controlOfReporter).not.toBe(inherited.control);
  expect(numbers.controlOfExaminer).not.toBe(inherited.control);
});
