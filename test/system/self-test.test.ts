// `doctor --self-test` on this kernel, alone and beside a treewarden that watches the host.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openableSources, sensors } from "../../src/vocabulary/sensors.ts";
import { binary, type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

setDefaultTimeout(60_000);
const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);
const live = openableSources.filter((source) => sensors[source].mode === "live");

let folder = "";
beforeAll(() => {
  folder = newFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs it under a configuration, as another user if `uid` is given. */
async function selfTest(
  config: string,
  uid?: number,
): Promise<{ code: number; results: readonly JsonRecord[]; stderr: string }> {
  const file = join(folder, "config.yaml");
  writeFileSync(file, `state_directory: ${folder}/state\n${config}`);
  const run = Bun.spawn([binary, "doctor", "--self-test", "--config", file, "--output", "json"], {
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const [stdout, stderr] = await Promise.all([run.stdout.text(), run.stderr.text()]);
  const results = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line): JsonRecord => JSON.parse(line));
  return { code: await run.exited, results, stderr };
}

const passed = (results: readonly JsonRecord[]) =>
  results.map((result) => [
    result["self_test.source"],
    result["self_test.check"],
    result["self_test.passed"] || result["self_test.detail"],
  ]);
const checks = ["start", "events", "tree", "verdict", "kill", "loss", "end"];

describe.skipIf(reason !== undefined)("doctor --self-test", () => {
  test("passes with every event source of this host, and leaves nothing", async () => {
    const { code, results, stderr } = await selfTest("");
    expect(passed(results)).toEqual(live.flatMap((source) => checks.map((check) => [source, check, true])));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(readdirSync(folder)).toEqual(["config.yaml"]);
  });

  test("beside a treewarden that runs: tests the configured source only, and that one goes on", async () => {
    await using running = await Running.start();
    const { code, results } = await selfTest("source: netlink\n");
    expect(passed(results)).toEqual(checks.map((check) => ["netlink", check, true]));
    expect(code).toBe(0);
    await running.seen((record) => String(record["tree.exact"]).endsWith("/outer/inner"));
    expect(running.records.filter((record) => record["policy.action"] === "kill")).toEqual([]);
  });

  test("where treewarden cannot start, it ends with 1 and the reason", async () => {
    const { code, results } = await selfTest("source: netlink\nreporter_user: no-such-user\n");
    expect(code).toBe(1);
    expect(results).toMatchObject([
      {
        "self_test.check": "start",
        "self_test.passed": false,
        "self_test.detail": expect.stringContaining("no user no-such-user"),
      },
    ]);
    expect(existsSync(join(folder, "state"))).toBe(false);
  });

  test("interrupted, it ends with 1 and leaves nothing", async () => {
    const file = join(folder, "config.yaml");
    writeFileSync(file, `state_directory: ${folder}/state\n`);
    const run = Bun.spawn([binary, "doctor", "--self-test", "--config", file], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    for await (const _ of run.stdout) run.kill("SIGTERM");
    expect(await run.exited).toBe(1);
    expect(readdirSync(folder)).toEqual(["config.yaml"]);
  });

  test("is root's", async () => {
    const { code, results, stderr } = await selfTest("", 65534);
    expect({ code, results }).toEqual({ code: 3, results: [] });
    expect(stderr).toContain("only root may watch every process");
  });
});
