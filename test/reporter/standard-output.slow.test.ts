import { expect, test } from "bun:test";
import { Rig, until, verdict } from "./rig.ts";

test("a full pipe neither blocks the reporter nor grows it: lines are dropped and counted, the journal goes on", async () => {
  await using rig = new Rig({ output: "json" });
  rig.pauseOutput();
  rig.startReporter();
  const padding = "x".repeat(3_000);
  const name = 'treewarden_queue_dropped_total{queue="stdout"}';
  let made = 0;
  // Each scrape makes the warden read what was acknowledged, too. 40 rounds are seven times what may wait.
  for (let round = 0; round < 40 && (await rig.sample(name)) === 0; round += 1) {
    for (let i = 0; i < 500; i += 1) {
      made += 1;
      rig.warden.outbox.reliable(verdict(`u${made}`, { "tree.exact": padding }));
    }
    await until("acknowledged", () => rig.warden.outbox.unacknowledged === 0);
    await Bun.sleep(60);
  }
  expect(await rig.sample(name)).toBeGreaterThan(0);
  expect((await rig.get("/healthz")).status).toBe(200);
  rig.resumeOutput();
  const dropped = await rig.sample(name);
  const lines = () => rig.stdout.split("\n").slice(0, -1);
  await until("every other line", () => lines().length >= made - dropped);
  await Bun.sleep(200);
  expect(lines().length).toBe(made - dropped);
  for (const line of lines()) expect(() => JSON.parse(line)).not.toThrow();
}, 30_000);
