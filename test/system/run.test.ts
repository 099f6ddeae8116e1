import { describe, expect, test } from "bun:test";
import { Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("treewarden run", () => {
  test("tells a new tree, shows it RUNNING, and then STOPPED with one duration", async () => {
    await using running = await Running.start();
    const tree = "/tw-article/tw-sleeper";
    const folder = running.folder;
    Bun.spawnSync(["cp", "/bin/bash", `${folder}/tw-article`]);
    Bun.spawnSync(["cp", "/bin/sleep", `${folder}/tw-sleeper`]);
    const shell = Bun.spawn([`${folder}/tw-article`, "-c", `${folder}/tw-sleeper 4; true`]);
    const isSleeper = (record: Readonly<Record<string, unknown>>) =>
      record["event.name"] === "tree.new" && String(record["tree.path"]).endsWith(tree);
    const told = await running.seen(isSleeper);
    const path = String(told["tree.path"]);
    await until(
      "RUNNING",
      async () => (await running.metrics()).value("process", { tree: path, state: "RUNNING" }) === 1,
    );
    await shell.exited;
    await until(
      "STOPPED",
      async () => (await running.metrics()).value("process", { tree: path, state: "STOPPED" }) === 1,
    );
    const metrics = await running.metrics();
    expect(metrics.value("process", { tree: path, state: "RUNNING" })).toBe(0);
    expect(metrics.value("process_seconds_count", { tree: path })).toBe(1);
    expect(metrics.value("process_seconds_sum", { tree: path })).toBeWithin(4, 6);
  }, 20_000);

  test("is healthy while its warden and sensor live", async () => {
    await using running = await Running.start();
    expect((await running.health()).status).toBe(200);
  });

  test("ends on SIGTERM within two seconds, with 0", async () => {
    await using running = await Running.start();
    const start = performance.now();
    expect(await running.stop()).toBe(0);
    expect(performance.now() - start).toBeLessThan(2_000);
    expect(running.records.at(-1)?.["event.name"]).toBe("warden.stopped");
  });

  test("is refused on a state directory that another one has", async () => {
    await using running = await Running.start();
    const second = Bun.spawnSync([
      running.binary,
      "run",
      "--state-dir",
      `${running.folder}/state`,
      "--listen",
      "off",
    ]);
    expect(second.exitCode).toBe(2);
    expect(second.stderr.toString()).toContain(String(running.pid));
  });
});
