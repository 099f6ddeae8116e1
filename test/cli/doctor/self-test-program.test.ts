import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfTestProgram } from "../../../src/cli/doctor/self-test-program.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-self-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, milliseconds: number): string {
  const path = join(folder, name);
  writeFileSync(path, selfTestProgram(milliseconds) ?? "");
  chmodSync(path, 0o700);
  return path;
}

describe("the program that the self-test starts", () => {
  test("sleeps as long as it was made to, and ends with 0", () => {
    const path = write("sleeper", 300);
    const started = performance.now();
    expect(Bun.spawnSync([path]).exitCode).toBe(0);
    const took = performance.now() - started;
    expect(took).toBeGreaterThan(299);
    expect(took).toBeLessThan(5_000);
  });

  test("starts the executable that its first argument names, with the other arguments, and waits for it", () => {
    const [outer, script] = [write("outer", 60_000), join(folder, "script")];
    writeFileSync(script, `#!/bin/sh\nsleep 0.1\necho "$@" > ${folder}/arguments\n`);
    chmodSync(script, 0o700);
    expect(Bun.spawnSync([outer, script, "one", "two"]).exitCode).toBe(0);
    expect(Bun.spawnSync(["cat", join(folder, "arguments")]).stdout.toString()).toBe("one two\n");
  });

  test("ends at once if there is no such executable", () => {
    expect(Bun.spawnSync([write("outer", 60_000), join(folder, "none")]).exitCode).toBe(0);
  });
});
