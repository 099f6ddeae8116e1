import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Baseline } from "../../src/baseline/baseline.ts";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { baselinePath } from "../../src/baseline/key.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import type { Lineage } from "../../src/forest/lineage.ts";
import { incomplete, lineage } from "./lineages.ts";
import { entry, NOON } from "./samples.ts";

function learned(leaf: Lineage, rest: Partial<BaselineEntry> = {}): BaselineEntry {
  const { exact, path, complete } = treeOf(leaf);
  return entry(exact, { tree: path, path: baselinePath(leaf.program) ?? "", complete, ...rest });
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

describe("an incomplete lineage", () => {
  const whole = lineage("/usr/bin/pg_ctl", "/usr/lib/postgresql/bin/postgres");
  const end = incomplete("/usr/lib/postgresql/bin/postgres");

  test("is known by the end of a complete tree: a daemon whose starter has gone", () => {
    expect(baselineOf(learned(whole)).knowledge(end, "-", NOON).known).toBe(true);
  });

  test("that was learned makes the complete tree known: the daemon was there before treewarden", () => {
    expect(baselineOf(learned(end)).knowledge(whole, "-", NOON).known).toBe(true);
  });

  test("does not stand for one that ends in part of a name", () => {
    const baseline = baselineOf(learned(incomplete("/usr/bin/b")));
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
  const one = fc.record({ scope: fc.constantFrom("-", "x.service"), names, complete: fc.boolean() });
  const asEntry = ({ scope, names: list, complete }: { scope: string; names: string[]; complete: boolean }) =>
    entry(`/${list.join("/")}`, { scope, complete });
  fc.assert(
    fc.property(fc.array(one, { maxLength: 8 }), one, (list, question) => {
      const entries = list.map(asEntry);
      const asked = asEntry(question);
      const expected = entries.some((has) => {
        if (has.scope !== asked.scope || has.path !== asked.path) return false;
        if (has.exact === asked.exact) return true;
        if (has.complete && asked.complete) return false;
        return has.exact.endsWith(asked.exact) || asked.exact.endsWith(has.exact);
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
