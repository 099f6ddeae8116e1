import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { pagePath, variablesPage } from "../../build/variables-page.ts";

test("docs/variables.md is what `npm run docs` writes", () => {
  expect(readFileSync(pagePath, "utf8")).toBe(variablesPage());
});
