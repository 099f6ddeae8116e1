import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FileEntries, type FileName } from "../../src/examiner/file-entries.ts";

const file = (path: string, inode: number, device = 1): FileName => ({ path, device, inode });

describe("the entries of files", () => {
  test("know two files of the same path, such as those of two containers", () => {
    const entries = new FileEntries<FileName>(10);
    const [first, second] = [file("/bin/sh", 1), file("/bin/sh", 2)];
    entries.remember(first);
    entries.remember(second);
    expect(entries.find("/bin/sh", 1, 1)).toBe(first);
    expect(entries.find("/bin/sh", 1, 2)).toBe(second);
    expect(entries.find("/bin/sh", 2, 1)).toBeUndefined();
    expect([...entries.values()]).toEqual([second, first]);
  });

  test("have one entry for each file, the newest", () => {
    const entries = new FileEntries<FileName>(10);
    for (const inode of [1, 2, 1, 2, 2, 1]) entries.remember(file("/bin/sh", inode));
    const newest = file("/bin/sh", 2);
    entries.remember(newest);
    expect(entries.size).toBe(2);
    expect(entries.find("/bin/sh", 1, 2)).toBe(newest);
  });

  test("forget the oldest file first, and of files with a common path no more than they must", () => {
    const entries = new FileEntries<FileName>(8);
    for (let i = 0; i < 9; i += 1) entries.remember(file(`/bin/program-${i}`, i));
    expect(entries.find("/bin/program-0", 1, 0)).toBeUndefined();
    expect(entries.find("/bin/program-1", 1, 1)).toBeDefined();
    // A program that is replaced again and again takes a quarter of the entries from the others.
    for (let i = 100; i < 120; i += 1) entries.remember(file("/bin/program-8", i));
    expect(entries.size).toBe(8);
    const others = [1, 2, 3, 4, 5, 6, 7].filter((i) => entries.find(`/bin/program-${i}`, 1, i) !== undefined);
    expect(others).toEqual([3, 4, 5, 6, 7]);
    expect(entries.find("/bin/program-8", 1, 118)).toBeDefined();
    expect(entries.find("/bin/program-8", 1, 117)).toBeDefined();
    expect(entries.find("/bin/program-8", 1, 116)).toBeUndefined();
  });

  test("are never more than allowed, and the one that was just made is among them", () => {
    const names = fc.record({ path: fc.constantFrom("/a", "/b", "/c"), inode: fc.nat(9) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(names), (most, list) => {
        const entries = new FileEntries<FileName>(most);
        for (const { path, inode } of list) {
          const made = file(path, inode);
          entries.remember(made);
          expect(entries.find(path, 1, inode)).toBe(made);
          expect(entries.size).toBeLessThanOrEqual(most);
          const values = [...entries.values()].map((each) => `${each.path} ${each.inode}`);
          expect(new Set(values).size).toBe(values.length);
        }
      }),
    );
  });
});
