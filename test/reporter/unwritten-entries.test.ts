// What waits while the journal cannot be written is bounded, and nothing of it disappears uncounted.
import { expect, test } from "bun:test";
import { UnwrittenEntries, type UnwrittenEntry } from "../../src/reporter/unwritten-entries.ts";

function entry(n: number, rows: number, size = 10): UnwrittenEntry {
  const warden = { run: "r", generation: 1 };
  return {
    rows: Array.from({ length: rows }, (_, i) => ({
      ...{ ...warden, id: n + i, n: n + i, time: 0, kept: false },
      body: "x".repeat(size),
    })),
    learned: undefined,
    memory: {},
    from: { ...warden, n },
  };
}

test("the oldest entries are given up beyond 2,048 records, and each record is counted once", () => {
  const entries = new UnwrittenEntries();
  let given = 0;
  let lastGiven = 0;
  for (let n = 1; n <= 10_000; n += 100) {
    entries.add(entry(n, 100));
    const { rows, count, from } = entries.giveUpExcess();
    given += count;
    if (from !== undefined) expect(from.n).toBe(lastGiven + 1);
    lastGiven = rows.at(-1)?.n ?? lastGiven;
    expect(rows.length).toBe(count);
  }
  const left = [...entries.rowsAfter(0)];
  expect(left.length).toBeLessThanOrEqual(2_048);
  expect(given + left.length).toBe(10_000);
  expect(left[0]?.n).toBe(given + 1);
  expect(entries.firstOf(1)).toBe(given + 1);
  expect(entries.firstOf(2)).toBeUndefined();
});

test("long records are bounded by their bytes", () => {
  const entries = new UnwrittenEntries();
  for (let n = 1; n <= 1_000; n += 1) {
    entries.add(entry(n, 1, 60_000));
    entries.giveUpExcess();
  }
  expect([...entries.rowsAfter(0)].length).toBeLessThan(80);
});

test("in a new file the same rows have new ids, in the same order", () => {
  const entries = new UnwrittenEntries();
  entries.add(entry(501, 2));
  entries.add(entry(503, 1));
  let id = 0;
  entries.renumber(() => {
    id += 1;
    return id;
  });
  expect([...entries.rowsAfter(0)].map((row) => [row.id, row.n])).toEqual([
    [1, 501],
    [2, 502],
    [3, 503],
  ]);
});
