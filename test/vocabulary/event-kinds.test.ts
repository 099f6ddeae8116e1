import { expect, test } from "bun:test";
import { instruments } from "../../src/report/instruments.ts";
import {
  countedKinds,
  eventKinds,
  isJudgedKind,
  judgedKinds,
  plannedKinds,
  sensorKinds,
} from "../../src/vocabulary/event-kinds.ts";

test("sensors report forks, execs, changes of user, exits and loss", () => {
  expect(sensorKinds).toEqual(["fork", "exec", "user", "exit", "loss"]);
});

test("policies decide about execs; what is planned is no kind yet", () => {
  expect(judgedKinds).toEqual(["exec"]);
  expect(plannedKinds.filter(isJudgedKind)).toEqual([]);
  expect(plannedKinds.filter((name) => Object.hasOwn(eventKinds, name))).toEqual([]);
});

test("what is counted exists at 0 from the start", () => {
  expect(instruments.events.closed).toEqual([countedKinds]);
});
