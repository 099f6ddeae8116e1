import { beforeEach, expect, test } from "bun:test";
import { Collection } from "../../src/warden/collection.ts";

const MS = 1e6;
const SECOND = 1e9;
const MIB = 1 << 20;

let collected: number[] = [];
let discarded: number[] = [];
let resident = 50 * MIB;
let now = 0;
/** What the next discarding frees; the runtime may ignore it. */
let freed = 100 * MIB;
let collection: Collection;

beforeEach(() => {
  [collected, discarded, resident, now, freed] = [[], [], 50 * MIB, 0, 100 * MIB];
  collection = new Collection({
    collect: () => collected.push(now),
    release: async () => {
      discarded.push(now);
      resident = Math.max(50 * MIB, resident - freed);
    },
    resident: () => resident,
  });
});

/** `events` every `everyMs` for `seconds`; between two of them a timer of something else ends the poll. */
async function load(everyMs: number, seconds: number, events = 3): Promise<void> {
  for (const end = now + seconds * SECOND; now < end; ) {
    now += (everyMs * MS) / 2;
    await collection.idle(now);
    now += (everyMs * MS) / 2;
    collection.worked(now, events);
  }
}

/** No event for `seconds`: the poll ends when the collection is due, as the warden's does. */
async function quiet(seconds: number): Promise<void> {
  const end = now + seconds * SECOND;
  for (let due = collection.dueIn(now); due !== undefined && now + due <= end; due = collection.dueIn(now)) {
    now += due;
    await collection.idle(now);
  }
  now = Math.max(now, end);
}

test("no collection interrupts a busy warden, however long that lasts", async () => {
  await load(1, 60);
  await load(100, 3_600);
  expect(collected).toEqual([]);
});

test("a burst is followed by one collection once the host is quiet, ten seconds after it began", async () => {
  await load(1, 1);
  await quiet(60);
  expect(collected).toEqual([10 * SECOND + MS]);
  await quiet(3_600);
  expect(collected).toHaveLength(1);
  expect(collection.dueIn(now)).toBeUndefined();
});

test("a long load is followed by one as soon as the host is quiet", async () => {
  await load(1, 60);
  await quiet(60);
  expect(collected).toEqual([60 * SECOND + 250 * MS]);
});

test("a busy warden that has grown by 16 MiB collects, and again only when it has grown as much again", async () => {
  await load(1, 15);
  resident += 20 * MIB;
  await load(1, 60);
  expect(collected).toHaveLength(1);
  resident += 15 * MIB;
  await load(1, 60);
  expect(collected).toHaveLength(1);
  resident += 2 * MIB;
  await load(1, 60);
  expect(collected).toHaveLength(2);
});

test("a warden that a load has made grow by more than 4 MiB discards its code within ten seconds after it", async () => {
  await load(1, 60);
  resident += 6 * MIB;
  await quiet(60);
  expect(collected).toEqual([60 * SECOND + 250 * MS]);
  expect(discarded).toHaveLength(1);
  expect(discarded[0]).toBeGreaterThan(64 * SECOND);
  expect(discarded[0]).toBeLessThanOrEqual(70 * SECOND);
  expect(collection.dueIn(now)).toBeUndefined();
});

test("one that has grown by less keeps it", async () => {
  await load(1, 60);
  resident += 4 * MIB;
  await quiet(60);
  expect(collected).toHaveLength(1);
  expect(discarded).toEqual([]);
});

test("it need not wait until nothing starts any more", async () => {
  await load(1, 60);
  resident += 6 * MIB;
  await load(1_000, 60);
  expect(discarded).toHaveLength(1);
});

test("under a load that goes on it keeps its code, and goes on collecting", async () => {
  resident += 6 * MIB;
  for (let second = 0; second < 600; second += 1) {
    await load(1, 1);
    await quiet(0.3);
  }
  expect(discarded).toEqual([]);
  expect(collected.length).toBeGreaterThan(30);
});

test("a pause of seconds in a load whose events come in batches is not calm", async () => {
  resident += 6 * MIB;
  for (let burst = 0; burst < 60; burst += 1) {
    await load(100, 3, 300);
    await quiet(2);
  }
  expect(discarded).toEqual([]);
});

test("code that was discarded is not discarded again for five minutes", async () => {
  for (let minute = 0; minute < 20; minute += 1) {
    await load(1, 1);
    resident += 6 * MIB;
    await quiet(59);
  }
  expect(collected).toHaveLength(20);
  expect(discarded).toHaveLength(4);
});

test("what had no effect is tried again after the next load, five minutes later at the earliest", async () => {
  await load(1, 60);
  resident += 6 * MIB;
  freed = MIB;
  await quiet(60);
  expect(discarded).toHaveLength(1);
  freed = 100 * MIB;
  await load(1, 60);
  await quiet(60);
  expect(discarded).toHaveLength(1);
  await quiet(300);
  await load(1, 1);
  await quiet(60);
  expect(discarded).toHaveLength(2);
  expect(resident).toBe(50 * MIB);
  await quiet(300);
  await load(1, 1);
  await quiet(60);
  expect(discarded).toHaveLength(2);
});
