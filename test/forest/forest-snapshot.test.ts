import { expect, test } from "bun:test";
import { restoreSnapshot, snapshotForest } from "../../src/forest/forest-snapshot.ts";
import type { Runnable } from "../../src/forest/runnable.ts";
import { runnable, smallHost, World } from "./world.ts";

const encode = (program: Runnable): string => program.key;
const decode = (program: unknown): Runnable => runnable(String(program));

function restored(world: World): World {
  const next = new World();
  next.now = world.now;
  restoreSnapshot(next.forest, snapshotForest(world.forest, encode), decode);
  return next;
}

test("a forest that was written down is the same one, without any scan", () => {
  const world = smallHost();
  world.spawn(100, 200, "env");
  world.exec(200, "bash");
  world.fork(200, 300);
  world.exit(200);
  const next = restored(world);
  expect(snapshotForest(next.forest, encode)).toBe(snapshotForest(world.forest, encode));
  expect(next.names(300)).toBe(world.names(300));
  // Its parent has ended and was no reaper.
  expect(next.forest.get(300)?.parentPid).toBe(200);
});

test("events that follow change both alike", () => {
  const world = smallHost();
  world.fork(100, 300);
  const next = restored(world);
  for (const each of [world, next]) {
    each.exec(300, "curl");
    each.spawn(300, 301, "sh");
    each.exit(100);
  }
  expect(snapshotForest(next.forest, encode)).toBe(snapshotForest(world.forest, encode));
});

test("a text that does not hold together is refused", () => {
  const text = snapshotForest(smallHost().forest, encode);
  for (const wrong of [
    "",
    "{}",
    "[]",
    text.replace(/"lineage":\d+/, '"lineage":4000'),
    text.replace('"p":', '"q":'),
  ])
    expect(() => restoreSnapshot(new World().forest, wrong, decode)).toThrow();
});
