import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Baseline } from "../../src/baseline/baseline.ts";
import { type BaselineEntry, mergeEntries, withHabits } from "../../src/baseline/entry.ts";
import { baselinePath } from "../../src/baseline/key.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import type { Lineage } from "../../src/forest/lineage.ts";
import { incomplete, lineage } from "./lineages.ts";
import { entry, NOON } from "./samples.ts";

function learned(leaf: Lineage, rest: Partial<BaselineEntry> = {}): BaselineEntry {
  const { exact, habit, path, complete } = treeOf(leaf);
  return entry(exact, { habit, tree: path, path: baselinePath(leaf.program) ?? "", complete, ...rest });
}

function baselineOf(...entries: readonly BaselineEntry[]): Baseline {
  const baseline = new Baseline();
  for (const one of entries) baseline.add(one);
  return baseline;
}

const cronSh = lineage("/usr/sbin/cron", "/usr/bin/dash");

describe("known", () => {
  test("is a tree whose scope, exact tree and path are in the baseline", () => {
    const baseline = baselineOf(learned(cronSh, { scope: "cron.service", count: 5 }));
    expect(baseline.knowledge(cronSh, "cron.service", NOON + 60)).toEqual({
      known: true,
      familiar: true,
      age: 60,
      count: 5,
    });
  });

  test("is not a tree of another scope, nor one of the same names from another path", () => {
    const baseline = baselineOf(learned(cronSh));
    expect(baseline.knowledge(cronSh, "ssh.service", NOON).known).toBe(false);
    const elsewhere = lineage("/usr/sbin/cron", "/srv/dash");
    expect(treeOf(elsewhere).exact).toBe(treeOf(cronSh).exact);
    expect(baseline.knowledge(elsewhere, "-", NOON).known).toBe(false);
  });

  test("another tool of the base system is familiar, not known", () => {
    const baseline = baselineOf(learned(lineage("/usr/sbin/nginx", "/usr/bin/cat")));
    const knowledge = baseline.knowledge(lineage("/usr/sbin/nginx", "/usr/bin/ls"), "-", NOON);
    expect([knowledge.known, knowledge.familiar]).toEqual([false, true]);
  });

  test("a path that changes with an upgrade is the same path", () => {
    const before = lineage("/opt/app-1.2.3/bin/app");
    const after = lineage("/opt/app-1.3.0/bin/app");
    expect(baselineOf(learned(before)).knowledge(after, "-", NOON).known).toBe(true);
  });

  test("cannot be told where the scope or the executable could not be read", () => {
    const baseline = baselineOf(learned(cronSh));
    expect(baseline.knowledge(cronSh, undefined, NOON)).not.toHaveProperty("known");
  });

  test("nothing is known of what was never seen", () => {
    expect(baselineOf().knowledge(cronSh, "-", NOON)).toEqual({ known: false, familiar: false });
  });
});

describe("a habit", () => {
  const cron = { run: "/usr/sbin/cron" };
  const sh = { run: "/usr/bin/dash", args: ["sh", "-c", "backup; rotate"] };
  const script = { run: "/usr/bin/dash", args: ["sh", "-s"] };
  const backup = { run: "/usr/local/bin/backup" };
  const [direct, byShell, byStdin] = [
    [cron, backup],
    [cron, sh, backup],
    [cron, script, backup],
  ].map((steps) => lineage(...steps));
  if (direct === undefined || byShell === undefined || byStdin === undefined) throw new Error("no lineage");

  test("is known with and without the shell that ran its code, whichever of them was learned", () => {
    for (const known of [direct, byShell])
      for (const asked of [direct, byShell])
        expect(baselineOf(learned(known)).knowledge(asked, "-", NOON).known).toBe(true);
    expect(baselineOf(learned(direct)).knowledge(byStdin, "-", NOON).known).toBe(false);
    // The shell itself is another tree.
    expect(baselineOf(learned(direct)).knowledge(lineage(cron, sh), "-", NOON).known).toBe(false);
  });

  test("that an older file does not have: its exact tree is known as well, until the next accept", () => {
    const { exact } = treeOf(byShell);
    const old = learned(byShell, { habit: exact, beforeHabits: true });
    expect(baselineOf(old).knowledge(byShell, "-", NOON).known).toBe(true);
    expect(baselineOf(old).knows(learned(byShell))).toBe(true);
    // It never excuses more than it did: neither the command without its shell, nor by another way to the shell.
    expect(baselineOf(old).knowledge(direct, "-", NOON).known).toBe(false);
    const { entries, unseen } = withHabits([old], []);
    expect([baselineOf(...entries).knowledge(byShell, "-", NOON).known, unseen]).toEqual([false, 1]);
  });

  test("of an older entry is what was learned for its exact tree", () => {
    const old = learned(byShell, { habit: treeOf(byShell).exact, beforeHabits: true, count: 2 });
    const { entries, unseen } = withHabits([old], [learned(byShell, { count: 3 })]);
    expect(unseen).toBe(0);
    const [only, ...more] = mergeEntries([entries, [learned(byShell, { count: 3 })]], false);
    expect(only).toMatchObject({ habit: "/cron/backup", exact: "/cron/dash/backup", count: 5 });
    expect([only?.beforeHabits, more]).toEqual([false, []]);
  });
});

describe("an incomplete lineage", () => {
  const whole = lineage("/usr/bin/pg_ctl", "/usr/lib/postgresql/bin/postgres");
  const end = incomplete("/usr/lib/postgresql/bin/postgres");

  test("is known by the end of a complete tree: a daemon whose starter has gone", () => {
    expect(baselineOf(learned(whole)).knowledge(end, "-", NOON).known).toBe(true);
  });

  test("that begins with its unit's main program makes the complete tree known: the daemon was there before", () => {
    const baseline = baselineOf(learned(end, { fromMain: true }));
    expect(baseline.knowledge(whole, "-", NOON).known).toBe(true);
    expect(baseline.knowledge(whole, "other.service", NOON).known).toBe(false);
  });

  test("that begins with anything else stands for itself alone", () => {
    const baseline = baselineOf(learned(end));
    expect(baseline.knowledge(whole, "-", NOON).known).toBe(false);
    const longer = incomplete("/usr/bin/pg_ctl", "/usr/lib/postgresql/bin/postgres");
    expect(baseline.knowledge(longer, "-", NOON).known).toBe(false);
    expect(baseline.knowledge(end, "-", NOON).known).toBe(true);
    const complete = lineage("/usr/lib/postgresql/bin/postgres");
    expect(baseline.knowledge(complete, "-", NOON).known).toBe(true);
  });

  test("does not stand for one that ends in part of a name", () => {
    const baseline = baselineOf(learned(incomplete("/usr/bin/b"), { fromMain: true }));
    expect(baseline.knowledge(lineage("/usr/sbin/nginx", "/usr/local/bin/ab"), "-", NOON).known).toBe(false);
  });

  test("a complete tree is never known by the end of another complete one", () => {
    const short = lineage("/usr/lib/postgresql/bin/postgres");
    expect(baselineOf(learned(whole)).knowledge(short, "-", NOON).known).toBe(false);
    expect(baselineOf(learned(short)).knowledge(whole, "-", NOON).known).toBe(false);
  });

  test("several that fit: the age is that of the one seen first", () => {
    const other = lineage("/usr/bin/make", "/usr/lib/postgresql/bin/postgres");
    const baseline = baselineOf(learned(whole, { first: NOON }), learned(other, { first: NOON - 100 }));
    expect(baseline.knowledge(end, "-", NOON).age).toBe(100);
  });
});

test("the set answers as DESIGN's sentence says, compared with a plain search", () => {
  const names = fc.array(fc.constantFrom("a", "b", "ab"), { minLength: 1, maxLength: 4 });
  const one = fc.record({
    scope: fc.constantFrom("-", "x.service"),
    names,
    complete: fc.boolean(),
    isMain: fc.boolean(),
  });
  type One = { scope: string; names: string[]; complete: boolean; isMain: boolean };
  const asEntry = ({ scope, names: list, complete, isMain }: One) =>
    entry(`/${list.join("/")}`, { scope, complete, fromMain: !complete && isMain });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 8 }), one, (list, question) => {
      const entries = list.map(asEntry);
      const asked = asEntry(question);
      const expected = entries.some((has) => {
        if (has.scope !== asked.scope || has.path !== asked.path) return false;
        if (has.habit === asked.habit) return true;
        if (has.fromMain && asked.habit.endsWith(has.habit)) return true;
        return !asked.complete && has.habit.endsWith(asked.habit);
      });
      expect(baselineOf(...entries).knows(asked)).toBe(expected);
    }),
    { numRuns: 2_000 },
  );
});

test("within a second the answer is one object", () => {
  const baseline = baselineOf(learned(cronSh));
  const first = baseline.knowledge(cronSh, "-", NOON);
  expect(baseline.knowledge(cronSh, "-", NOON)).toBe(first);
  expect(baseline.knowledge(cronSh, "-", NOON + 1).age).toBe(1);
});

test("a lineage in any number of scopes gets the right answer in each", () => {
  const baseline = baselineOf(learned(cronSh, { scope: "s5.service" }));
  for (const round of [1, 2])
    for (let i = 0; i < 30; i++)
      expect([round, i, baseline.knowledge(cronSh, `s${i}.service`, NOON).known]).toEqual([
        round,
        i,
        i === 5,
      ]);
});
