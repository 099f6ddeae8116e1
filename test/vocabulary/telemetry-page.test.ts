import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { pagePath, telemetryPage } from "../../build/telemetry-page.ts";
import { honouredNames } from "../../src/reporter/read-otlp-settings.ts";

const page = readFileSync(pagePath, "utf8");

test("docs/telemetry.md is what `npm run docs` makes of the tables", () => {
  expect(page).toBe(telemetryPage(page));
});

test("every variable that is honoured has its line", () => {
  for (const name of honouredNames) expect(page).toContain(`| \`${name}\` |`);
});
