import { expect, test } from "bun:test";
import { defaultConfig } from "../../src/config/config.ts";
import { parseOptions } from "../../src/reporter/reporter-options.ts";

const options = { run: "r", config: defaultConfig(), output: "json", colour: false };

test("options cross to the reporter unchanged", () => {
  expect(parseOptions(JSON.stringify(options))).toEqual(JSON.parse(JSON.stringify(options)));
});

test("a value that the configuration does not allow is refused", () => {
  const { config } = options;
  for (const wrong of [
    { ...options, output: "xml" },
    { ...options, config: { ...config, journal: { ...config.journal, max_days: -1 } } },
    { ...options, config: { ...config, metrics: { ...config.metrics, listen: "everywhere" } } },
    { run: "r" },
  ])
    expect(() => parseOptions(JSON.stringify(wrong))).toThrow();
  expect(() => parseOptions("nonsense")).toThrow(SyntaxError);
});
