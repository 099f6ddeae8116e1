// A queue in which nobody waits behind all that one user has added.
import { expect, test } from "bun:test";
import { FairQueue } from "../../src/warden/fair-queue.ts";

const all = (queue: FairQueue<string>): readonly string[] => {
  const taken: string[] = [];
  for (let item = queue.take(); item !== undefined; item = queue.take()) taken.push(item);
  return taken;
};

test("users take turns, and so does root; each has its own in the order in which they came", () => {
  const queue = new FairQueue<string>(100);
  for (const item of ["a1", "a2", "a3", "a4"]) queue.add(item, [1000]);
  queue.add("b1", [33]);
  for (const item of ["r1", "r2"]) queue.add(item, []);
  expect(all(queue)).toEqual(["a1", "b1", "r1", "a2", "r2", "a3", "a4"]);
});

test("what waits already is not added again; what was taken is", () => {
  const queue = new FairQueue<string>(100);
  for (let i = 0; i < 3; i += 1) expect(queue.add("a", [1000])).toBe(true);
  expect(queue.size).toBe(1);
  expect(queue.take()).toBe("a");
  queue.add("a", [1000]);
  expect(all(queue)).toEqual(["a"]);
});

test("one user has at most half of the room, and gets it back with each that is taken", () => {
  const queue = new FairQueue<string>(10);
  const added = Array.from({ length: 8 }, (_, i) => queue.add(`a${i}`, [1000]));
  expect(added.filter((isAdded) => isAdded)).toHaveLength(5);
  expect(queue.add("r", [])).toBe(true);
  queue.take();
  expect(queue.add("a9", [1000])).toBe(true);
  expect(all(queue)).toHaveLength(6);
  expect([queue.size, queue.add("b", [1000])]).toEqual([0, true]);
});
