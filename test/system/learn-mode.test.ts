import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { binary, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

function shownBy(running: Running): string {
  const state = join(running.folder, "state");
  const shown = Bun.spawnSync([
    binary,
    "baseline",
    "learn",
    "--show",
    "--output",
    "json",
    "--state-dir",
    state,
  ]);
  return shown.stdout.toString();
}

describe.skipIf(reason !== undefined)("run --learn", () => {
  test("learns from its start, and is finished after the time that was asked for", async () => {
    await using running = await Running.start(["--learn", "--for", "3s"]);
    await running.seen((record) => record["event.name"] === "baseline.learning");
    await until(
      "the end of the learning",
      () => shownBy(running).includes('"baseline.phase":"finished"'),
      20_000,
    );
    expect(shownBy(running)).toMatch(/"system.uptime":[1-9]/);
  }, 40_000);

  test("refuses --for without --learn", () => {
    const run = Bun.spawnSync([binary, "run", "--for", "3s", "--listen", "off", "--output", "none"]);
    expect(run.exitCode).toBe(2);
    expect(run.stderr.toString()).toContain("--for needs --learn");
  });
});
