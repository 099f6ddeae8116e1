// A service that may start nothing but what it has learned: anything else dies before its first instruction.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chownSync, copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileProgram, Service, untilSettled } from "./prevention-service.ts";
import { baseline } from "./server-watch.ts";
import { binary, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** A user that no other process runs as. */
const TEST_USER = 61_019;
/** A folder of root's alone, as those of packages are. */
const installed = "/usr/local/lib/tw-prevention";
const service = join(installed, "tw-shopd");
const helper = join(installed, "tw-helper");
const stranger = join(installed, "tw-stranger");

const policy = {
  role: "shop",
  rules: [
    {
      id: "unknown",
      when: {
        and: [
          { "==": [{ var: "process.user.id" }, TEST_USER] },
          { under: ["tw-shopd"] },
          { "==": [{ var: ["tree.known", true] }, false] },
        ],
      },
      action: "kill",
      severity: "high",
    },
  ],
  default: "allow",
};

const verdictOn =
  (path: string) =>
  (record: JsonRecord): boolean =>
    record["event.name"] === "policy.verdict" && record["process.executable.path"] === path;

describe.skipIf(reason !== undefined)("a service under --enforcement prevent", () => {
  let folder: string;
  let running: Running;
  let shop: Service;
  const own = (): string => join(folder, "shop");
  const dropped = (): string => join(own(), "dropped");

  beforeAll(async () => {
    mkdirSync(installed, { mode: 0o755 });
    compileProgram("prevention-service", service);
    for (const each of [helper, stranger]) compileProgram("prevention-program", each, "-nostdlib", "-static");
    folder = newFolder();
    mkdirSync(own());
    chownSync(own(), TEST_USER, TEST_USER);
    copyFileSync(helper, dropped());
    chownSync(dropped(), TEST_USER, TEST_USER);
    const file = join(folder, "shop.json");
    writeFileSync(file, JSON.stringify(policy), { mode: 0o644 });
    running = await Running.start(["--policy", file, "--enforcement", "prevent"], {}, folder);
    shop = new Service(service, TEST_USER, own());
    expect(baseline(running, "learn").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.learning");
    expect(await shop.run(helper)).toEqual({ end: "exit 0", bytes: 1 });
    await untilSettled(stranger);
    expect(baseline(running, "learn", "--stop").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.stopped");
    expect(baseline(running, "accept", "--anyway").code).toBe(0);
    await until("the service is closed", async () => {
      const metrics = await running.metrics();
      return metrics.sum("treewarden_closed_processes") > 0;
    });
  }, 60_000);

  afterAll(async () => {
    await shop?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
    rmSync(installed, { recursive: true, force: true });
  }, 20_000);

  test("starts what it has learned", async () => {
    expect(await shop.run(helper)).toEqual({ end: "exit 0", bytes: 1 });
  });

  test.each([
    ["a program of root's that it has not learned", () => stranger],
    ["a program that it has dropped itself", dropped],
  ])("%s dies before its first instruction, the first time", async (_, path) => {
    expect(await shop.run(path())).toEqual({ end: "signal 9", bytes: 0 });
    const verdict = await running.seen(verdictOn(path()));
    expect(verdict).toMatchObject({
      "policy.action": "kill",
      "policy.outcome": "prevented",
      "security_rule.name": "unknown",
    });
  });

  test("a shell dies too, though not always before it has begun", async () => {
    const { end } = await shop.run("/bin/sh", "-c", "sleep 5");
    expect(end).toBe("signal 9");
  });

  test("1,000 programs that it has dropped open nothing", async () => {
    for (let i = 0; i < 1_000; i += 1)
      if ((await shop.run(dropped())).end !== "signal 9") throw new Error(`number ${i} lives`);
    expect(await shop.run(stranger)).toEqual({ end: "signal 9", bytes: 0 });
    const metrics = await running.metrics();
    expect(metrics.sum("treewarden_prevent_mismatches_total")).toBe(0);
  });

  test("starts what it has learned after its file was replaced", async () => {
    compileProgram("prevention-program", `${helper}.new`, "-nostdlib", "-static");
    renameSync(`${helper}.new`, helper);
    expect(await shop.run(helper)).toEqual({ end: "exit 0", bytes: 1 });
  });

  test("starts anything once `pause` has answered", async () => {
    const order = (...args: readonly string[]) =>
      Bun.spawnSync([binary, ...args, "--state-dir", join(running.folder, "state")], { stderr: "pipe" });
    const paused = order("pause", "--for", "1m", "--reason", "a test");
    expect([paused.exitCode, paused.stderr.toString()]).toEqual([0, expect.any(String)]);
    expect(await shop.run(stranger)).toEqual({ end: "exit 0", bytes: 1 });
    expect(order("resume").exitCode).toBe(0);
    await until("it is closed again", async () => (await shop.run(stranger)).bytes === 0);
  });

  test("60 different programs use up its user's share: the last are left to user space, the first still die", async () => {
    const junk = Array.from({ length: 60 }, (_, i) => join(own(), `junk-${i}`));
    const ends: { readonly end: string; readonly bytes: number }[] = [];
    for (const path of junk) {
      copyFileSync(helper, path);
      chownSync(path, TEST_USER, TEST_USER);
      ends.push(await shop.run(path));
    }
    expect(ends.slice(0, 40)).toEqual(Array.from({ length: 40 }, () => ({ end: "signal 9", bytes: 0 })));
    const last = await running.seen(verdictOn(junk.at(-1) ?? ""));
    expect(["killed", "failed", "withheld"]).toContain(String(last["policy.outcome"]));
    expect(await shop.run(junk[0] ?? "")).toEqual({ end: "signal 9", bytes: 0 });

    const limited = await running.seen((record) => record["event.name"] === "prevention.limited");
    expect(limited).toMatchObject({
      "policy.severity": "high",
      "prevention.limited_for": [`user ${TEST_USER}`],
    });
    await until("it is counted", async () => {
      const metrics = await running.metrics();
      return metrics.sum("treewarden_prevent_limited_total") >= 8;
    });
    const status = () => Bun.spawnSync([binary, "status", "--state-dir", join(running.folder, "state")]);
    // While its files are identified again, after the programs that were dropped, the process does not count as judged.
    const closed = `${service}: 1 process, closed by shop/unknown`;
    await until("status names it", async () => status().stdout.toString().includes(closed));
    const { exitCode, stdout } = status();
    expect(exitCode).toBe(1);
    expect(stdout.toString()).toContain(`too many different programs of user ${TEST_USER} were ended`);
    const ready = await fetch(`http://127.0.0.1:${running.port}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining(`user ${TEST_USER}`)]);
  }, 30_000);
});
