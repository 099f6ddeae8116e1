import { describe, expect, test } from "bun:test";
import type { Runnable } from "../../src/forest/runnable.ts";
import { restoreForest, restoreWholeForest, saveForest } from "../../src/forest/saved-forest.ts";
import { runnable, smallHost, World } from "./world.ts";

const decode = (program: unknown): Runnable => runnable(String(program));
const encode = (program: Runnable): string => program.key;

/** What the next run finds in /proc of the host that `world` describes. */
function procOf(world: World, next: World) {
  return [...world.forest.processes()].map((process) =>
    next.found(
      process.pid,
      process.parentPid,
      process.lineage.program.key,
      process.startTicks,
      process.kernelThread,
    ),
  );
}

function restart(world: World, bootId = "boot", execWaits?: number) {
  const saved: unknown = JSON.parse(JSON.stringify(saveForest(world.forest, "boot", encode)));
  const next = new World();
  next.now = world.now;
  const restored = restoreForest(next.forest, saved, bootId, decode);
  const found = procOf(world, next).map((each) => ({ ...each, execWaits: each.pid === execWaits }));
  next.forest.reconcile(found, next.now * 1e6, restored.processes);
  restored.release();
  return next;
}

function lively(): World {
  const world = smallHost();
  world.spawn(100, 200, "env");
  world.exec(200, "bash");
  world.fork(200, 300);
  world.exec(300, "daemon");
  world.exit(200);
  for (const process of world.forest.processes()) process.startExact = true;
  return world;
}

describe("a restart of treewarden in the same boot", () => {
  test("changes no lineage, also of those whose parents have left", () => {
    const next = restart(lively());
    expect(next.names(300)).toBe("sshd/bash/daemon");
    expect(next.forest.get(300)?.lineage.complete).toBe(true);
    expect(next.forest.get(300)?.lineage.parent?.earlier.map((program) => program.key)).toEqual(["env"]);
  });

  test("leaves uncertain what a process has forked before an exec that waits: it may have made others meanwhile", () => {
    const next = restart(lively(), "boot", 100);
    next.spawn(100, 400, "sh");
    expect(next.names(400)).toBe("sshd/sh");
    expect(next.forest.get(400)?.lineage.uncertain).toBe(true);
    next.exec(100, "sshd-session");
    next.spawn(100, 500, "sh");
    expect(next.names(500)).toBe("sshd-session/sh");
    expect(next.forest.get(500)?.lineage.uncertain).toBe(false);
    expect(next.forest.get(300)?.lineage.uncertain).toBe(false);
  });

  test("keeps nothing of processes that have ended meanwhile", () => {
    const world = lively();
    const next = restart(world);
    for (const pid of [300, 100]) next.exit(pid);
    expect(next.forest.lineages.size).toBe(smallHost().forest.lineages.size - 1);
  });

  test("does not mistake another process that has the pid now", () => {
    const world = lively();
    const saved: unknown = JSON.parse(JSON.stringify(saveForest(world.forest, "boot", encode)));
    const next = new World();
    const { processes } = restoreForest(next.forest, saved, "boot", decode);
    const scan = [next.found(1, 0, "systemd", 0), next.found(300, 1, "stranger", 9_999)];
    next.forest.reconcile(scan, 1e15, processes);
    expect(next.names(300)).toBe("stranger");
    expect(next.forest.get(300)?.lineage.complete).toBe(false);
  });

  test("takes nothing over from another boot", () => {
    const next = restart(lively(), "another boot");
    expect(next.names(300)).toBe("daemon");
    expect(next.forest.get(300)?.lineage.complete).toBe(false);
  });

  test("refuses a file that does not hold together", () => {
    const { forest } = new World();
    const bad = { version: 1, bootId: "boot", images: [], nodes: [{ p: -1, i: 7, k: 1 }], processes: [] };
    expect(() => restoreForest(forest, bad, "boot", decode)).toThrow("no program 7");
    expect(() => restoreForest(forest, "{", "boot", decode)).toThrow("not a saved forest");
  });

  test("keeps nothing of a file that breaks off in the middle of what it says", () => {
    const saved = saveForest(lively().forest, "boot", encode);
    const stranger = [400, 1, saved.nodes.length, -1, 0, 0];
    const orphan = { p: saved.nodes.length + 1, i: 0, k: 1 };
    for (const bad of [
      { ...saved, processes: [...saved.processes, stranger] },
      { ...saved, nodes: [...saved.nodes, orphan] },
      { ...saved, nodes: [...saved.nodes, null] },
    ]) {
      const next = new World();
      const before = next.forest.lineages.size;
      const text: unknown = JSON.parse(JSON.stringify(bad));
      expect(() => restoreForest(next.forest, text, "boot", decode)).toThrow();
      expect(next.forest.lineages.size).toBe(before);
    }
  });
});

describe("a forest that is restored without a scan", () => {
  const saved = (world: World): unknown =>
    JSON.parse(JSON.stringify(saveForest(world.forest, "boot", encode)));

  test("is what it was, and goes on by events", () => {
    const next = new World();
    expect(restoreWholeForest(next.forest, saved(lively()), "boot", decode)).toBe(true);
    expect([...next.forest.processes()].map(({ pid }) => pid).toSorted()).toEqual(
      [...lively().forest.processes()]
        .filter(({ kernelThread }) => !kernelThread)
        .map(({ pid }) => pid)
        .toSorted(),
    );
    next.now = 1_000_000;
    next.fork(300, 400);
    next.exec(400, "late");
    expect(next.names(400)).toBe("sshd/bash/daemon/late");
    for (const { pid } of [...next.forest.processes()]) next.exit(pid);
    expect(next.forest.lineages.size).toBe(0);
  });

  test("is none of another boot, nor of what an older version has written", () => {
    const { forest } = new World();
    expect(restoreWholeForest(forest, saved(lively()), "another boot", decode)).toBe(false);
    const { details: _, ...older } = saveForest(lively().forest, "boot", encode);
    expect(restoreWholeForest(forest, JSON.parse(JSON.stringify(older)), "boot", decode)).toBe(false);
    expect([forest.size, forest.lineages.size]).toEqual([0, 0]);
  });
});
