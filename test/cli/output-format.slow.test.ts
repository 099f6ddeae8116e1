import { afterAll, expect, test } from "bun:test";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "treewarden-output-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What `run` would print with a file as standard output, which systemd's variable names or not. */
function chosenOutput(call: string, isJournal: boolean): string {
  const path = join(folder, "stdout");
  const file = openSync(path, "w");
  const { dev, ino } = fstatSync(file, { bigint: true });
  const format = join(import.meta.dir, "../../src/cli/output-format.ts");
  const code = `import { runOutput } from ${JSON.stringify(format)}; console.log(runOutput(${call}))`;
  Bun.spawnSync([process.execPath, "-e", code], {
    stdio: ["ignore", file, "inherit"],
    env: { JOURNAL_STREAM: isJournal ? `${dev}:${ino}` : "8:1" },
  });
  closeSync(file);
  return readFileSync(path, "utf8").trim();
}

test("in systemd's journal `run` prints alarms only, unless more is asked for", () => {
  expect(chosenOutput("undefined, false", true)).toBe("alerts");
  expect(chosenOutput("undefined, true", true)).toBe("json");
  expect(chosenOutput('"pretty", false', true)).toBe("pretty");
});

test("the variable of another service's journal changes nothing", () => {
  expect(chosenOutput("undefined, false", false)).toBe("json");
});
