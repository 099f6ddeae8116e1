import { expect, test } from "bun:test";
import fc from "fast-check";
import { RecentRows } from "../../src/reporter/recent-rows.ts";

const row = (id: number, size: number) => ({ id, record: { "log.record.uid": `u${id}` }, size, isOwn: true });

test("either it has every row after an id, in order, up to the limits, or it says that it may not", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 3_000 });
  fc.assert(
    fc.property(
      sizes,
      fc.nat(3_000),
      fc.integer({ min: 1, max: 600 }),
      fc.nat(100_000),
      fc.nat(3_000),
      (list, id, limit, bytes, delivered) => {
        const recent = new RecentRows();
        for (const [i, size] of list.entries()) recent.add(row(i + 1, size));
        recent.forgetUpTo(delivered);
        const rows = recent.after(id, limit, bytes);
        if (rows === undefined) return;
        expect(rows.map((each) => each.id)).toEqual(rows.map((_, i) => id + 1 + i));
        const size = rows.slice(0, -1).reduce((sum, each) => sum + each.size, 0);
        expect(rows.length <= limit && size <= bytes).toBe(true);
        const isAtEnd = id + rows.length >= list.length;
        const total = size + (rows.at(-1)?.size ?? 0);
        expect(isAtEnd || rows.length === limit || total > bytes).toBe(true);
      },
    ),
    { numRuns: 50 },
  );
});

test("it holds at least a full batch, and is bounded", () => {
  const recent = new RecentRows();
  for (let id = 1; id <= 100_000; id += 1) recent.add(row(id, 2_000));
  expect(recent.after(100_000 - 512, 512, 2 << 20)?.length).toBe(512);
  expect(recent.after(100_000 - 2_000, 512, 2 << 20)).toBeUndefined();
});

test("rows that every output has are not kept, and the next ones are", () => {
  const recent = new RecentRows();
  for (let id = 1; id <= 10; id += 1) recent.add(row(id, 100));
  recent.forgetUpTo(10);
  expect(recent.after(9, 10, 1_000)).toBeUndefined();
  recent.add(row(11, 100));
  expect(recent.after(10, 10, 1_000)).toHaveLength(1);
});

test("in a new file, ids begin again", () => {
  const recent = new RecentRows();
  recent.add(row(7, 10));
  recent.clear();
  expect(recent.after(6, 10, 100)).toBeUndefined();
  recent.add(row(1, 10));
  expect(recent.after(0, 10, 100)?.length).toBe(1);
});
