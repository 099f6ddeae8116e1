import { expect, test } from "bun:test";
import { restoreForest, saveForest } from "../../src/forest/saved-forest.ts";
import { runnable, smallHost, type World } from "./world.ts";

const isUncertain = (world: World, pid: number) => world.forest.get(pid)?.lineage.uncertain;
const now = (world: World) => world.now * 1e6;

test("a child that is forked while events are lost has an uncertain lineage, a service that pid 1 starts has not", () => {
  const world = smallHost();
  world.now += 10_000;
  world.forest.lost(now(world));
  world.spawn(100, 200, "bash");
  world.spawn(1, 300, "cron");
  expect([200, 300].map((pid) => isUncertain(world, pid))).toEqual([true, false]);
  // So is what it starts later, until its ancestors are seen anew.
  const startOf = (pid: number) => world.forest.get(pid)?.startTicks ?? 0;
  world.scan(
    world.found(1, 0, "systemd", 0),
    world.found(100, 1, "sshd", startOf(100)),
    world.found(200, 100, "bash", startOf(200)),
  );
  world.forest.forget([]);
  expect(world.forest.lossTime).toBeUndefined();
  world.spawn(200, 201, "chmod");
  world.spawn(100, 202, "bash");
  expect([201, 202].map((pid) => isUncertain(world, pid))).toEqual([true, false]);
});

test("a loss that is noticed late makes what was forked shortly before it uncertain, not what is older", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.now += 10_000;
  world.spawn(100, 300, "bash");
  world.forest.lost(now(world));
  expect([200, 300].map((pid) => isUncertain(world, pid))).toEqual([false, true]);
});

test("an exec of a process whose fork was never seen is uncertain", () => {
  const world = smallHost();
  world.exec(900, "cat", { parentPid: 100 });
  expect([world.names(900), isUncertain(world, 900)]).toEqual(["sshd/cat", true]);
});

test("uncertain lineages stay so over a restart", () => {
  const world = smallHost();
  world.now += 10_000;
  world.forest.lost(now(world));
  world.spawn(100, 200, "bash");
  const process = world.forest.get(200);
  if (process === undefined) throw new Error("no process");
  world.forest.learnStart(process, process.startTicks);
  const saved = JSON.parse(JSON.stringify(saveForest(world.forest, "boot", ({ key }) => key)));
  const after = smallHost();
  const restored = restoreForest(after.forest, saved, "boot", (key) => runnable(String(key)));
  expect(restored.processes.get(200)?.lineage.uncertain).toBe(true);
});
