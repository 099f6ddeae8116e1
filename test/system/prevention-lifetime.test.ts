// How long a process is closed: for as long as its program, its epoch, the beat and the room last, and no longer; and what
// that costs.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { enableStatistics } from "../../src/linux/bpf/program.ts";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import type { ObjectKeeper } from "../../src/sensor/object-keeper.ts";
import type { ClosedSets } from "../../src/sensor/prevention/closed-set.ts";
import { KeptDescriptors } from "../../src/supervisor/kept-objects.ts";
import { Watch, whyNot } from "./ebpf-watch.ts";
import { openSets, PreventionFolder, PreventionWatch, TEST_USER } from "./prevention-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Milliseconds for a test on a busy host. */
setDefaultTimeout(20_000);

describe.skipIf(reason !== undefined)("closed processes", () => {
  let folder: PreventionFolder;
  beforeAll(() => {
    folder = new PreventionFolder();
  });
  afterAll(() => folder[Symbol.dispose]());

  const dies = { killed: 5, ended: 0, failed: 0 };
  const runs = { killed: 0, ended: 5, failed: 0 };

  test("are open outside of their epoch, while nothing is acted upon, and without a beat for longer than the limit", async () => {
    using watch = new PreventionWatch({ limitMs: 400 });
    const { prevention } = watch;
    await using actor = await folder.start();
    const set = watch.define();
    const attempt = () => {
      prevention.beat();
      return actor.run("execve", 5, folder.program);
    };
    watch.close(actor, set);
    expect(await attempt()).toEqual(dies);
    prevention.setActing(false);
    expect(await attempt()).toEqual(runs);
    prevention.setActing(true);
    expect(await attempt()).toEqual(dies);
    await Bun.sleep(450);
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
    expect(await attempt()).toEqual(dies);
    prevention.setEpoch(2);
    expect(await attempt()).toEqual(dies);
    prevention.enforceEpoch();
    expect(await attempt()).toEqual(runs);
    watch.close(actor, set);
    expect(await attempt()).toEqual(dies);
    watch.close(actor, 0);
    expect(await attempt()).toEqual(runs);
  });

  test("are those alone that were judged: not another process of their pid, nor another program of theirs", async () => {
    using watch = new PreventionWatch();
    await using actor = await folder.start();
    const set = watch.define();
    const both = { own: set, child: set };
    const process = watch.judged(actor);
    watch.prevention.assign({ ...process, startTicks: process.startTicks - 1 }, both);
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
    watch.prevention.assign({ ...process, execId: (process.execId ?? 0) - 1 }, both);
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
    watch.prevention.assign(process, both);
    expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
  });

  test("that ran before, and were found by a scan, are closed until they execute another program", async () => {
    await using actor = await folder.start();
    using watch = new PreventionWatch();
    const set = watch.define();
    const process = {
      pid: actor.pid,
      startTicks: startTicksOf(actor.pid),
      execId: undefined,
      uid: TEST_USER,
      payers: [],
    };
    const sets = { own: 0, child: set };
    watch.prevention.assign(process, sets);
    expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
    await actor.replace(...folder.again);
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
    watch.prevention.assign(process, sets);
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
  });

  test("are not displaced by 40,000 forks of another user", async () => {
    using watch = new PreventionWatch({ processes: 64 });
    await using actor = await folder.start();
    await using other = await folder.start(TEST_USER + 1);
    watch.close(actor, watch.define());
    const forking = other.run("process", 40_000, "-");
    let isOver = false;
    void forking.then(() => {
      isOver = true;
    });
    while (!isOver) {
      expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
      watch.drain();
      await Bun.sleep(50);
    }
    expect(await forking).toEqual({ killed: 0, ended: 40_000, failed: 0 });
    expect(watch.prevention.counts()).toMatchObject({ full: 0, failed: 0 });
  });

  test("that fork take at most half of the room, unless they are root's; beyond it a process is open, and counted", async () => {
    using watch = new PreventionWatch({ processes: 16 });
    await using actor = await folder.start();
    const set = watch.define();
    watch.close(actor, set);
    expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
    await actor.run("held", 20, "-");
    const { full } = watch.prevention.counts();
    // One is its own, and one more than half makes it full.
    expect(full).toBe(20 - 8);
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
    await using roots = await folder.start(0);
    watch.close(roots, set);
    expect(await roots.run("execve", 5, folder.program)).toEqual(dies);
    expect(watch.prevention.counts().full).toBe(full + 5);
  });

  test("that user space closes, too, leave the other half to root", async () => {
    using watch = new PreventionWatch({ processes: 16 });
    await using users = new AsyncDisposableStack();
    const set = watch.define();
    let refused = 0;
    for (let i = 0; i < 12; i += 1) {
      const actor = users.use(await folder.start());
      try {
        watch.close(actor, set);
      } catch {
        refused += 1;
      }
    }
    expect([refused, watch.prevention.counts().full]).toEqual([12 - 9, 12 - 9]);
    await using roots = await folder.start(0);
    watch.close(roots, set);
    expect(await roots.run("execve", 5, folder.program)).toEqual(dies);
  });

  test("leave nothing behind when they end", async () => {
    using watch = new PreventionWatch({ processes: 16 });
    for (let i = 0; i < 40; i += 1) {
      await using actor = await folder.start();
      watch.close(actor, watch.define());
      expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
    }
    expect(watch.prevention.counts().full).toBe(0);
  });

  test("cost an exec that is allowed at most a microsecond in the kernel", async () => {
    const closed = await programNs(folder, (watch) => {
      const set = watch.define({ exceptions: [{ file: watch.identityOf(folder.program), next: openSets }] });
      return { own: set, child: set };
    });
    const free = await programNs(folder);
    const more = [...closed].map(([name, ns]) => [name, ns - (free.get(name) ?? 0)] as const);
    console.log(`in the kernel, ns more: ${more.map(([name, ns]) => `${name} ${ns}`).join(", ")}`);
    expect(new Map(more).get("exec")).toBeLessThan(1000);
  });

  test("stay closed while the maps are kept and nobody goes on with them, and until the next one has its own", async () => {
    const kept = new KeptDescriptors();
    using _ = { [Symbol.dispose]: () => kept.replace({ description: "", descriptors: [] }) };
    const keeper: ObjectKeeper = {
      build: "1.0",
      takeLeft: () => {
        const copies = new KeptDescriptors();
        copies.replace(kept.value);
        return copies.value;
      },
      keep: (objects) => kept.replace(objects),
    };
    const first = new PreventionWatch({}, keeper);
    await using actor = await folder.start();
    first.close(actor, first.define());
    expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
    first[Symbol.dispose]();
    expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
    using second = new PreventionWatch({}, keeper, "as it was left");
    expect(second.sensor.isContinued).toBe(true);
    const file = second.identityOf(folder.program);
    const set = second.define({ exceptions: [{ file, next: openSets }] });
    expect(await actor.run("execve", 5, folder.program)).toEqual(dies);
    const process = {
      pid: actor.pid,
      startTicks: startTicksOf(actor.pid),
      execId: undefined,
      uid: TEST_USER,
      payers: [],
    };
    second.prevention.assign(process, { own: set, child: set });
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
    expect(await actor.run("execve", 5, "/bin/true")).toEqual(dies);
    second.prevention.enforceEpoch();
    expect(await actor.run("execve", 5, "/bin/true")).toEqual(dies);
    second.prevention.setEpoch(1);
    second.prevention.enforceEpoch();
    expect(await actor.run("execve", 5, folder.program)).toEqual(runs);
    expect(await actor.run("execve", 5, "/bin/true")).toEqual(runs);
  });

  test("are not there where it was not asked for", () => {
    using watch = new Watch();
    expect([watch.sensor.prevention, watch.sensor.preventionProblem]).toEqual([undefined, undefined]);
  });
});

function startTicksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
}

/** ns that each program of the sensor takes for a process from its fork to its exit, under these sets; the least of some rounds. */
async function programNs(
  folder: PreventionFolder,
  sets?: (watch: PreventionWatch) => ClosedSets,
): Promise<ReadonlyMap<string, number>> {
  const count = 200;
  using watch = sets === undefined ? new Watch() : new PreventionWatch();
  await using actor = await folder.start();
  if (watch instanceof PreventionWatch && sets !== undefined) watch.close(actor, sets(watch));
  const statistics = enableStatistics();
  try {
    const least = new Map<string, number>();
    for (let round = 0; round < 8; round += 1) {
      const before = watch.sensor.programs();
      await actor.run("execve", count, folder.program);
      for (const [name, { runNanoseconds }] of watch.sensor.programs()) {
        const ns = Math.round((runNanoseconds - (before.get(name)?.runNanoseconds ?? 0)) / count);
        least.set(name, Math.min(ns, least.get(name) ?? ns));
      }
      watch.drain();
    }
    return least;
  } finally {
    closeDescriptor(statistics);
  }
}
