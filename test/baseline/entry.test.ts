import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { diffEntries, keyText, mergeEntries } from "../../src/baseline/entry.ts";
import { anyEntry, entry } from "./samples.ts";

const list = fc.array(anyEntry, { maxLength: 10 });
const keysOf = (entries: readonly { scope: string; habit: string; path: string }[]) => entries.map(keyText);

describe("merging", () => {
  test("does not depend on the order of hosts", () => {
    fc.assert(
      fc.property(list, list, list, (a, b, c) => {
        const all = mergeEntries([a, b, c], true);
        expect(mergeEntries([c, b, a], true)).toEqual(all);
        expect(mergeEntries([mergeEntries([a, b], true), c], true)).toEqual(all);
      }),
    );
  });

  test("has every key of every host, once, in order", () => {
    fc.assert(
      fc.property(list, list, (a, b) => {
        const keys = keysOf(mergeEntries([a, b], true));
        expect(new Set(keys)).toEqual(new Set([...keysOf(a), ...keysOf(b)]));
        expect(new Set(keys).size).toBe(keys.length);
      }),
    );
  });

  test("counts hosts, and what they saw together", () => {
    const [merged] = mergeEntries(
      [[entry("/cron/sh", { count: 3, users: [0] })], [entry("/cron/sh", { count: 4, users: [7] })]],
      true,
    );
    expect(merged).toMatchObject({ count: 7, hosts: 2, users: [0, 7] });
  });

  test("a tree that was seen whole once is complete", () => {
    const [merged] = mergeEntries([[entry("/postgres", { complete: false }), entry("/postgres")]], false);
    expect(merged?.complete).toBe(true);
  });
});

describe("a difference", () => {
  test("of a baseline to itself is nothing", () => {
    fc.assert(fc.property(list, (a) => expect(diffEntries(a, a)).toEqual({ added: [], removed: [] })));
  });

  test("the other way round swaps what was added and what was removed", () => {
    fc.assert(
      fc.property(list, list, (a, b) => {
        const { added, removed } = diffEntries(a, b);
        expect(diffEntries(b, a)).toEqual({ added: removed, removed: added });
      }),
    );
  });

  test("applied to the one gives the keys of the other", () => {
    fc.assert(
      fc.property(list, list, (a, b) => {
        const { added, removed } = diffEntries(a, b);
        const gone = new Set(keysOf(removed));
        const made = [...keysOf(a).filter((key) => !gone.has(key)), ...keysOf(added)];
        expect(new Set(made)).toEqual(new Set(keysOf(b)));
      }),
    );
  });
});
