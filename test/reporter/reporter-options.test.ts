import { expect, test } from "bun:test";
import { configSchema, defaultConfig } from "../../src/config/config.ts";
import { parseReporterOptions } from "../../src/reporter/reporter-options.ts";

const options = { run: "r", config: defaultConfig(), output: "json", colour: false };

const parse = (text: string) => parseReporterOptions(text, configSchema);

test("options cross to the reporter unchanged", () => {
  expect(parse(JSON.stringify(options))).toEqual(JSON.parse(JSON.stringify(options)));
});

test("a value that the configuration does not allow is refused", () => {
  const { config } = options;
  for (const wrong of [
    { ...options, output: "xml" },
    { ...options, config: { ...config, journal: { ...config.journal, max_days: -1 } } },
    { ...options, config: { ...config, metrics: { ...config.metrics, listen: "everywhere" } } },
    { run: "r" },
  ])
    expect(() => parse(JSON.stringify(wrong))).toThrow();
  expect(() => parse("nonsense")).toThrow(SyntaxError);
});
