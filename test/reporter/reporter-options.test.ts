import { expect, test } from "bun:test";
import { configSchema, defaultConfig } from "../../src/config/config.ts";
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

const parse = (text: string) => parseReporterPlan(text, configSchema);

const user = { uid: 61_200, gid: 61_200 };

test("user, options and time zone cross to the reporter unchanged", () => {
  for (const each of [user, null]) {
    const plan = JSON.stringify({ user: each, options, timeZone });
    expect(parse(plan)).toEqual(JSON.parse(plan));
  }
});

test("a reporter is never told to run as root", () => {
  for (const root of [
    { uid: 0, gid: 61_200 },
    { uid: 61_200, gid: 0 },
  ])
    expect(() => parse(JSON.stringify({ user: root, options, timeZone }))).toThrow();
});

test("a value that the configuration does not allow is refused", () => {
  const { config } = options;
  for (const wrong of [
    { ...options, output: "xml" },
    { ...options, config: { ...config, journal: { ...config.journal, max_days: -1 } } },
    { ...options, config: { ...config, metrics: { ...config.metrics, listen: "everywhere" } } },
    { run: "r" },
  ])
    expect(() => parse(JSON.stringify({ user, options: wrong, timeZone }))).toThrow();
  expect(() => parse("nonsense")).toThrow(SyntaxError);
});
