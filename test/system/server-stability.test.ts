import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Server } from "./server-fixture.ts";
import { missingServer } from "./server-packages.ts";
import { alarms, learn, robotPolicy, unknownTrees } from "./server-watch.ts";
import { type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot() ?? missingServer();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const RESTARTS = 10;

describe.skipIf(reason !== undefined)("a baseline that was learned once", () => {
  const folder = newFolder();
  let server: Server;
  let flags: readonly string[];

  /** treewarden runs on the state that all of these tests share; what it told about the server meanwhile. */
  async function watched(during: (running: Running) => Promise<void>): Promise<JsonRecord[]> {
    const running = await Running.start(flags, {}, folder);
    try {
      await during(running);
      return alarms(running);
    } finally {
      await running.stop();
    }
  }

  /** As after a reboot: nothing is known of processes but what a scan finds. */
  function forgetForest(): void {
    rmSync(join(folder, "state", "forest.json"));
  }

  beforeAll(async () => {
    server = new Server();
    flags = ["--policy", robotPolicy(server)];
    await watched((running) =>
      learn(running, async () => {
        await server.start();
        await server.live();
        await server.restart();
        await server.live();
      }),
    );
  }, 60_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }, 30_000);

  test(`gives no alarm when treewarden is restarted ${RESTARTS} times at random moments of an ordinary life`, async () => {
    let living = true;
    const life = (async () => {
      while (living) await server.live();
    })();
    try {
      for (let i = 0; i < RESTARTS; i += 1)
        expect(await watched(() => Bun.sleep(Math.random() * 800))).toEqual([]);
    } finally {
      living = false;
      await life;
    }
  }, 60_000);

  test("gives no alarm when every service is restarted", async () => {
    const told = await watched(async () => {
      await server.restart();
      await server.live();
    });
    expect(told).toEqual([]);
  }, 30_000);

  test("gives no alarm when treewarden starts after the services, as after a reboot", async () => {
    await server.restart();
    forgetForest();
    const told = await watched(async () => {
      await server.live();
      await server.restart();
      await server.live();
    });
    expect(told).toEqual([]);
  }, 30_000);

  test("gives no alarm when treewarden starts before the services, as after a reboot", async () => {
    await server.stop();
    forgetForest();
    const told = await watched(async (running) => {
      await server.start();
      await server.live();
      await Bun.sleep(2_500);
      expect(unknownTrees(running)).toEqual([]);
    });
    expect(told).toEqual([]);
  }, 30_000);
});

describe.skipIf(reason !== undefined)("a baseline that was learned while the services ran already", () => {
  const starters = ["apachectl", "pg_ctl"];

  // In a unit or a container they are known however they are started: test/system/habit.test.ts.
  test("stands for the daemons as they were found: outside of a unit, another starter makes them new", async () => {
    await using server = new Server();
    await server.start();
    await using running = await Running.start(["--policy", robotPolicy(server)]);
    await learn(running, () => server.live());
    const since = Date.now();
    await server.live();
    expect(alarms(running, since)).toEqual([]);
    await server.restart();
    await server.live();
    const others = alarms(running, since)
      .map((record) => String(record["tree.exact"]).split("/"))
      .filter((labels) => !labels.slice(-2).some((label) => starters.includes(label)));
    expect(others.flat()).toContain("sshd");
  }, 60_000);
});
