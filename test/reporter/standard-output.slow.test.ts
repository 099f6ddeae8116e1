import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { Rig, until, verdict } from "./rig.ts";

test("a full pipe neither blocks the reporter nor grows it: lines are dropped and counted, the journal goes on", async () => {
  await using rig = new Rig({ output: "json" });
  rig.pauseOutput();
  rig.startReporter();
  const padding = "x".repeat(3_000);
  const name = 'treewarden_queue_dropped_total{queue="stdout"}';
  let made = 0;
  // Each scrape makes the warden read what was acknowledged, too. 12 rounds are twice what may wait.
  for (let round = 0; round < 12 && (await rig.sample(name)) === 0; round += 1) {
    for (let i = 0; i < 500; i += 1) {
      made += 1;
      rig.warden.outbox.reliable(verdict(`u${made}`, { "tree.exact": padding }));
    }
    await until("acknowledged", () => rig.warden.outbox.unacknowledged === 0, 60_000);
    await Bun.sleep(60);
  }
  expect(await rig.sample(name)).toBeGreaterThan(0);
  expect((await rig.get("/healthz")).status).toBe(200);
  // Whoever fills the pipe with alerts hides no kill behind them.
  rig.warden.outbox.reliable(verdict("killed", { "policy.outcome": "killed" }));
  made += 1;
  await until("acknowledged", () => rig.warden.outbox.unacknowledged === 0, 60_000);
  rig.resumeOutput();
  const dropped = await rig.sample(name);
  const lines = () => rig.stdout.split("\n").slice(0, -1);
  const isThere = () =>
    rig.stdout.length > (made - dropped) * padding.length && lines().length >= made - dropped;
  await until("every other line", isThere, 60_000);
  await Bun.sleep(200);
  expect(lines().length).toBe(made - dropped);
  const uids = lines().map((line) => JSON.parse(line)["log.record.uid"]);
  expect(uids).toContain("killed");
}, 120_000);

test.each([
  ["who reads late gets every line of it", true],
  ["nobody reads it, and it ends all the same", false],
])(
  "of a reporter that ends while more is left than a pipe holds, %s",
  async (_, isRead) => {
    await using rig = new Rig({ output: "json" });
    rig.pauseOutput();
    rig.startReporter();
    const made = 100;
    for (let i = 0; i < made; i += 1)
      rig.warden.outbox.reliable(verdict(`u${i}`, { "tree.exact": "x".repeat(3_000) }));
    await until("acknowledged", () => rig.warden.outbox.unacknowledged === 0);
    const stopped = rig.stopReporter();
    if (isRead) {
      await Bun.sleep(100);
      rig.resumeOutput();
    }
    expect(await stopped).toBe(0);
    if (!isRead) return;
    const lines = () => rig.stdout.split("\n").length - 1;
    await until("every line", () => lines() === made);
  },
  30_000,
);

test("after a reporter that was killed in the middle of a line the next one begins a new line, without a journal too", async () => {
  await using rig = new Rig({ output: "json" });
  rig.startReporter();
  rig.warden.outbox.reliable(verdict("first"));
  await until("the first line", () => rig.stdout.includes("first"));
  await rig.killReporter();
  for (const end of ["", "-wal", "-shm"]) rmSync(`${rig.journal}${end}`, { force: true });
  rig.startReporter();
  rig.restartWarden(2);
  rig.warden.outbox.reliable(verdict("second"));
  await until("the second line", () => rig.stdout.includes("second"));
  expect(rig.stdout).toMatch(/\}\n\n\{/);
}, 30_000);

test("`alerts` prints a line for each alarm and nothing else", async () => {
  await using rig = new Rig({ output: "alerts" });
  rig.startReporter();
  const { outbox } = rig.warden;
  const tree = { "process.pid": 7, "process.user.id": 0 };
  outbox.reliable(verdict("u1", { ...tree, "tree.path": "/silenced", "policy.outcome": "silenced" }));
  outbox.reliable(
    verdict("u2", { ...tree, "tree.path": "/known", "event.name": "tree.new", "tree.known": true }),
  );
  outbox.reliable(
    verdict("u3", { ...tree, "tree.path": "/new", "event.name": "tree.new", "tree.known": false }),
  );
  outbox.reliable(verdict("u4", { ...tree, "tree.path": "/alert", "policy.action": "alert" }));
  await until("acknowledged", () => outbox.unacknowledged === 0);
  await until("the last line", () => rig.stdout.includes("/alert"));
  const lines = rig.stdout.split("\n").slice(0, -1);
  expect(lines.map((line) => /\/\w+/.exec(line)?.[0])).toEqual(["/new", "/alert"]);
}, 30_000);
