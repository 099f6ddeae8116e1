import { expect, test } from "bun:test";
import { defaultConfig } from "../../src/config/config.ts";
import { parseReporterPlan } from "../../src/reporter/reporter-options.ts";

const options = {
  run: "r",
  config: defaultConfig(),
  output: "json",
  all: false,
  colour: false,
  otlp: null,
  endpointSecurity: null,
};

const timeZone = "Europe/Berlin";

const user = { uid: 61_200, gid: 61_200 };

test("user, options and time zone cross to the reporter unchanged", () => {
  for (const each of [user, null]) {
    const plan = JSON.stringify({ user: each, options, timeZone });
    expect(parseReporterPlan(plan)).toEqual(JSON.parse(plan));
  }
});

test("a reporter is never told to run as root", () => {
  for (const root of [
    { uid: 0, gid: 61_200 },
    { uid: 61_200, gid: 0 },
  ])
    expect(() => parseReporterPlan(JSON.stringify({ user: root, options, timeZone }))).toThrow();
});

test("options that no run has are refused", () => {
  for (const wrong of [{ ...options, output: "xml" }, { ...options, config: null }, { run: "r" }])
    expect(() => parseReporterPlan(JSON.stringify({ user, options: wrong, timeZone }))).toThrow();
  expect(() => parseReporterPlan("nonsense")).toThrow(SyntaxError);
});
