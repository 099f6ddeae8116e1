import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { ReporterCollection } from "../../src/reporter/reporter-collection.ts";

const MIB = 1 << 20;

let collected = 0;
let released = 0;
let resident = 20 * MIB;
let collection: ReporterCollection;

beforeEach(() => {
  jest.useFakeTimers();
  [collected, released, resident] = [0, 0, 20 * MIB];
  collection = new ReporterCollection({
    collect: () => {
      collected += 1;
    },
    release: () => {
      released += 1;
      resident = 20 * MIB;
      return Promise.resolve();
    },
    resident: () => resident,
  });
});

afterEach(() => {
  collection[Symbol.dispose]();
  jest.useRealTimers();
});

/** Each second the totals of all trees. */
function load(seconds: number): void {
  for (let frame = 0; frame < seconds; frame += 1) {
    jest.advanceTimersByTime(1_000);
    collection.received(150);
  }
}

test("a load that has made the reporter grow by 2 MiB is followed by one release once it has ended", () => {
  load(60);
  resident += 2 * MIB;
  load(60);
  expect(released).toBe(0);
  jest.advanceTimersByTime(15_000);
  expect(released).toBe(1);
  expect(jest.getTimerCount()).toBe(0);
});

test("totals each second, of programs that start here and there, does not keep it from being released", () => {
  load(60);
  resident += 4 * MIB;
  for (let frame = 0; frame < 20; frame += 1) {
    collection.received(10);
    jest.advanceTimersByTime(1_000);
  }
  expect(released).toBe(1);
});

test("one that has made it grow by less is not", () => {
  load(60);
  resident += MIB;
  jest.advanceTimersByTime(3_600_000);
  expect(released).toBe(0);
  expect(jest.getTimerCount()).toBe(0);
});

test("a frame every five seconds is no work", () => {
  for (let frame = 0; frame < 100; frame += 1) {
    resident += MIB;
    collection.received(1);
    expect(jest.getTimerCount()).toBe(0);
    jest.advanceTimersByTime(5_000);
  }
  expect(released).toBe(0);
});

test("frames every five seconds after a load do not keep it from being released", () => {
  load(60);
  resident += 4 * MIB;
  for (let frame = 0; frame < 3; frame += 1) {
    collection.received(1);
    jest.advanceTimersByTime(5_000);
  }
  expect(released).toBe(1);
});

test("what was discarded is kept for ten minutes", async () => {
  for (let scrape = 0; scrape < 360; scrape += 1) {
    resident += MIB;
    collection.received(1);
    collection.received(1);
    jest.advanceTimersByTime(10_000);
    await Promise.resolve();
    await Promise.resolve();
  }
  expect(released).toBeGreaterThanOrEqual(5);
  expect(released).toBeLessThanOrEqual(7);
});

test("several scrapes of many trees are followed by one collection", () => {
  for (let scrape = 0; scrape < 3; scrape += 1) collection.formatted(3e6);
  expect(collected).toBe(0);
  jest.advanceTimersByTime(250);
  expect(collected).toBe(1);
});

test("nothing happens after the end", () => {
  load(1);
  collection.formatted(5e6);
  collection[Symbol.dispose]();
  expect(jest.getTimerCount()).toBe(0);
});
