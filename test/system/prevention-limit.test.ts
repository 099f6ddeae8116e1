// How many different programs the kernel ends in a minute: beyond that a wrong policy is left to user space, and nobody can use
// this up for others.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Payer } from "../../src/vocabulary/shares.ts";
import { whyNot } from "./ebpf-watch.ts";
import { PreventionFolder, PreventionWatch, type Starter, TEST_USER } from "./prevention-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Milliseconds for a test on a busy host. */
setDefaultTimeout(30_000);

const OTHER_USER = TEST_USER + 1;
const CONTAINER = "c".repeat(64);

describe.skipIf(reason !== undefined)("of different programs in a minute", () => {
  let folder: PreventionFolder;
  beforeAll(() => {
    folder = new PreventionFolder();
  });
  afterAll(() => folder[Symbol.dispose]());

  /** Has a new process start each of these programs once, and answers whether each died. */
  async function starts(actor: Starter, paths: readonly string[]): Promise<readonly boolean[]> {
    const died: boolean[] = [];
    for (const path of paths) died.push((await actor.run("execve", 1, path)).killed === 1);
    return died;
  }

  function copies(count: number, prefix: string): readonly string[] {
    return Array.from({ length: count }, (_, i) => folder.copy(`${prefix}-${i}`, TEST_USER));
  }

  const all = (count: number, died: boolean): readonly boolean[] => Array.from({ length: count }, () => died);

  test("a user or container has half; what was ended before is ended again, and others have their own", async () => {
    using watch = new PreventionWatch({ maxPerMinute: 20 });
    const set = watch.define();
    const programs = copies(14, "user");
    const closedFor = async (payers: readonly Payer[]): Promise<Starter> => {
      const actor = await folder.start();
      watch.close(actor, set, { payers });
      return actor;
    };
    await using actor = await closedFor([TEST_USER]);
    expect(await starts(actor, programs)).toEqual([...all(10, true), ...all(4, false)]);
    expect(await starts(actor, programs)).toEqual([...all(10, true), ...all(4, false)]);
    expect(watch.prevention.refusals()).toEqual({ count: 8, ofPayers: new Map([[TEST_USER, 8]]) });

    // A user that it became pays together with it.
    await using become = await closedFor([TEST_USER, 100_001]);
    expect(await starts(become, programs.slice(10))).toEqual(all(4, false));

    await using other = await closedFor([OTHER_USER]);
    await using container = await closedFor([CONTAINER]);
    expect(await starts(other, programs.slice(10, 12))).toEqual([true, true]);
    expect(await starts(container, programs.slice(12, 14))).toEqual([true, true]);
    await using roots = await closedFor([]);
    const more = copies(8, "roots");
    // 14 have been ended, so root has the rest of the host's.
    expect(await starts(roots, more)).toEqual([...all(6, true), false, false]);
    expect(watch.prevention.refused).toBe(8 + 4 + 2);
    expect(watch.prevention.refusals().ofPayers).toEqual(new Map([[TEST_USER, 12]]));
  });

  test("10,000 kills of one program, and thousands without a lasting name, use up one each", async () => {
    using watch = new PreventionWatch({ limitMs: 0, maxPerMinute: 6 });
    await using actor = await folder.start();
    watch.close(actor, watch.define(), { payers: [TEST_USER] });
    const own = folder.copy("junk", TEST_USER);
    expect(await actor.run("vfork", 10_000, own)).toEqual({ killed: 10_000, ended: 0, failed: 0 });
    for (const way of ["memfd", "deleted"])
      expect(await actor.run(way, 1_000, own)).toEqual({ killed: 1_000, ended: 0, failed: 0 });
    expect(await starts(actor, [folder.program, folder.copy("one-more", TEST_USER)])).toEqual([true, false]);
  });

  test("a change counts no program anew where what may run stays the same", async () => {
    using watch = new PreventionWatch({ limitMs: 0, maxPerMinute: 6 });
    await using actor = await folder.start();
    const programs = copies(6, "counted");
    for (const set of [watch.define({ countedAs: 7 }), watch.define({ countedAs: 7 })]) {
      watch.close(actor, set);
      expect(await starts(actor, programs)).toEqual(all(6, true));
    }
    watch.close(actor, watch.define({ countedAs: 8 }));
    expect(await starts(actor, programs)).toEqual(all(6, false));
  });

  test("there is room again as time passes", async () => {
    using watch = new PreventionWatch({ maxPerMinute: 60 });
    await using actor = await folder.start();
    watch.close(actor, watch.define(), { payers: [TEST_USER] });
    const programs = copies(33, "later");
    const before = performance.now();
    expect(await starts(actor, programs.slice(0, 30))).toEqual(all(30, true));
    const [first] = await starts(actor, programs.slice(30, 31));
    // Each takes two seconds.
    if (performance.now() - before < 2_000) expect(first).toBe(false);
    await Bun.sleep(2_100);
    expect(await starts(actor, programs.slice(31, 32))).toEqual([true]);
  });
});
