// nginx and PostgreSQL of their packages under `--enforcement prevent`, in short; `npm run check:upgrades` is the long form.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type Attack,
  attacksByCopy,
  attacksOnNginx,
  attacksOnPostgres,
  Writers,
} from "../upgrades/attacks.ts";
import { ClosedServers } from "../upgrades/closed-servers.ts";
import { missingServer } from "./server-packages.ts";
import { whyNot } from "./treewarden.ts";

const reason = whyNot() ?? missingServer();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const TRIES = 3;
const load = { requests: 200, jobs: 200 };
const writers = new Writers(TRIES);

describe.skipIf(reason !== undefined)("servers that were learned and closed", () => {
  let servers: ClosedServers;

  beforeAll(async () => {
    servers = await ClosedServers.start(load, (scene) => writers.install(scene));
  }, 60_000);

  afterAll(async () => servers?.[Symbol.asyncDispose](), 30_000);

  async function expectDeaths(attacks: readonly Attack[]): Promise<void> {
    for (const { what, start } of attacks)
      for (let i = 0; i < TRIES; i += 1)
        expect([what, i, await start(i)]).toMatchObject([what, i, { end: "signal 9", bytes: 0 }]);
  }

  test("nginx starts nothing for an intruder, not even a shell or a script", () =>
    expectDeaths(attacksOnNginx(servers, writers)));

  test("PostgreSQL starts neither its own nor root's programs for an intruder, nor a shell that works on", async () => {
    await expectDeaths(attacksOnPostgres(servers, writers));
    await expectDeaths(attacksByCopy(servers, writers));
  });

  test("go on with requests, jobs, reloads, rotated logs, archives and an upgrade on the fly", async () => {
    expect(await servers.refusalsWhile(() => servers.live(load))).toEqual([]);
  }, 60_000);
});
