import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { configurationPage, errorOf, pagePath, requirementOf } from "../../build/configuration-page.ts";
import { settingNames } from "../../src/config/config.ts";
import { settings } from "../../src/config/settings.ts";

test("docs/configuration.md is what `npm run docs` writes", () => {
  expect(readFileSync(pagePath, "utf8")).toBe(configurationPage());
});

test("every setting of the schema has a row, and no row is of another setting", () => {
  expect(Object.keys(settings).toSorted()).toEqual(settingNames.toSorted());
});

for (const [name, { example }] of Object.entries(settings)) {
  test(`${name}: its example is valid, and its errors say what it must be`, () => {
    expect(errorOf(name, example)).toBeUndefined();
    expect(requirementOf(name)).not.toBe("");
  });
}
