// An intruder puts a library into a program that everybody knows: the program's path, arguments and tree are ordinary.
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = Bun.which("gcc") === null ? "no gcc to compile the library" : whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const LIST = "/etc/ld.so.preload";

/** A library that changes nothing. */
function library(folder: string): string {
  const source = join(folder, "harmless.c");
  const built = join(folder, "harmless.so");
  writeFileSync(source, "int treewarden_test_harmless;\n");
  const { exitCode, stderr } = Bun.spawnSync(["gcc", "-shared", "-o", built, source]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return built;
}

const alertOn =
  (argument: string) =>
  (record: JsonRecord): boolean =>
    record["event.name"] === "policy.verdict" &&
    Array.isArray(record["process.command_args"]) &&
    record["process.command_args"].includes(argument);

describe.skipIf(reason !== undefined)("a library preloaded into a known program", () => {
  test("by the shipped rules is an alert that shows the library, at once and not for the same program without it", async () => {
    const folder = newFolder();
    chmodSync(folder, 0o755);
    const preload = library(folder);
    await using running = await Running.start(["--source", "ebpf", "--policy", "base"], {}, folder);
    const run = (argument: string, env: Record<string, string>) =>
      Bun.spawnSync(["/usr/bin/sleep", argument], { env: { PATH: "/usr/bin", ...env } });
    run("0.0301", { SECRET_OF_THE_TEST: "hunter2" });
    run("0.0302", { SECRET_OF_THE_TEST: "hunter2", LD_PRELOAD: preload });
    const verdict = await running.seen(alertOn("0.0302"));
    expect(verdict).toMatchObject({
      "security_rule.name": "preload-for-service",
      "process.executable.path": "/usr/bin/sleep",
      "process.environment_variable.LD_PRELOAD": preload,
    });
    expect(running.records.some(alertOn("0.0301"))).toBe(false);
    expect(JSON.stringify(running.records)).not.toContain("hunter2");
  }, 30_000);

  // The file is made empty, so that it changes no program, and removed again; a host that has one is left alone.
  test.skipIf(existsSync(LIST))(
    "by the loader's list is a change that is told at once, also while the examiner sleeps",
    async () => {
      await using running = await Running.start(["--source", "ebpf", "--policy", "base"]);
      const changes = () => running.records.filter((record) => record["event.name"] === "preload.changed");
      await Bun.sleep(6_000);
      expect(changes()).toHaveLength(0);
      writeFileSync(LIST, "");
      try {
        await running.seen((record) => record["event.name"] === "preload.changed");
      } finally {
        rmSync(LIST);
      }
    },
    30_000,
  );

  test("behind an environment that is too large to be read is told as that", async () => {
    const folder = newFolder();
    await using running = await Running.start(["--source", "ebpf", "--policy", "base"], {}, folder);
    Bun.spawnSync(["/usr/bin/sleep", "0.0303"], { env: { A: "x".repeat(9_000), LD_PRELOAD: "x.so" } });
    expect(await running.seen(alertOn("0.0303"))).toMatchObject({
      "security_rule.name": "environment-too-large",
      "process.environment_truncated": true,
    });
  }, 30_000);
});
