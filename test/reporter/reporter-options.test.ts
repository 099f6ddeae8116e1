import { expect, test } from "bun:test";
import { configSchema, defaultConfig } from "../../src/config/config.ts";
import { parseReporterPlan } from "../../src/reporter/reporter-options.ts";

const options = { run: "r", config: defaultConfig(), output: "json", colour: false };

const environment = { OTEL_SERVICE_NAME: "web" };

const parse = (text: string) => parseReporterPlan(text, configSchema);

test("options and environment cross to the reporter unchanged", () => {
  const plan = JSON.stringify({ options, environment });
  expect(parse(plan)).toEqual(JSON.parse(plan));
});

test("a value that the configuration does not allow is refused", () => {
  const { config } = options;
  for (const wrong of [
    { ...options, output: "xml" },
    { ...options, config: { ...config, journal: { ...config.journal, max_days: -1 } } },
    { ...options, config: { ...config, metrics: { ...config.metrics, listen: "everywhere" } } },
    { run: "r" },
  ])
    expect(() => parse(JSON.stringify({ options: wrong, environment }))).toThrow();
  expect(() => parse("nonsense")).toThrow(SyntaxError);
});
