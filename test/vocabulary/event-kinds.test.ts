import { expect, test } from "bun:test";
import { instruments } from "../../src/report/instruments.ts";
import { countedKinds, judgedKinds, sensorKinds } from "../../src/vocabulary/event-kinds.ts";

test("sensors report forks, execs, changes of user, exits, use of the network and loss", () => {
  expect(sensorKinds).toEqual(["fork", "exec", "user", "exit", "connect", "send", "listen", "close", "loss"]);
});

test("policies decide about execs and about use of the network", () => {
  expect(judgedKinds).toEqual(["exec", "connect", "send", "listen"]);
});

test("what is counted exists at 0 from the start", () => {
  expect(instruments.events.closed).toEqual([countedKinds]);
});
