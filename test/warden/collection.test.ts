import { beforeEach, expect, test } from "bun:test";
import { Collection } from "../../src/warden/collection.ts";

const MS = 1e6;
const SECOND = 1e9;
const MIB = 1 << 20;

let collected: number[] = [];
let resident = 50 * MIB;
let now = 0;
let collection: Collection;

beforeEach(() => {
  [collected, resident, now] = [[], 50 * MIB, 0];
  collection = new Collection({ collect: () => collected.push(now), resident: () => resident });
});

/** Events every `everyMs` for `seconds`; between two of them a timer of something else ends the poll. */
function load(everyMs: number, seconds: number): void {
  for (const end = now + seconds * SECOND; now < end; ) {
    now += (everyMs * MS) / 2;
    collection.idle(now);
    now += (everyMs * MS) / 2;
    collection.worked(now);
  }
}

/** No event for `seconds`: the poll ends when the collection is due, as the warden's does. */
function quiet(seconds: number): void {
  const end = now + seconds * SECOND;
  for (let due = collection.dueIn(now); due !== undefined && now + due <= end; due = collection.dueIn(now)) {
    now += due;
    collection.idle(now);
  }
  now = Math.max(now, end);
}

test("no collection interrupts a busy warden, however long that lasts", () => {
  load(1, 60);
  load(100, 3_600);
  expect(collected).toEqual([]);
});

test("a burst is followed by one collection once the host is quiet, ten seconds after it began", () => {
  load(1, 1);
  quiet(60);
  expect(collected).toEqual([10 * SECOND + MS]);
  quiet(3_600);
  expect(collected).toHaveLength(1);
  expect(collection.dueIn(now)).toBeUndefined();
});

test("a long load is followed by one as soon as the host is quiet", () => {
  load(1, 60);
  quiet(60);
  expect(collected).toEqual([60 * SECOND + 250 * MS]);
});

test("a busy warden that has grown by 16 MiB collects, and again only when it has grown as much again", () => {
  load(1, 15);
  resident += 20 * MIB;
  load(1, 60);
  expect(collected).toHaveLength(1);
  resident += 15 * MIB;
  load(1, 60);
  expect(collected).toHaveLength(1);
  resident += 2 * MIB;
  load(1, 60);
  expect(collected).toHaveLength(2);
});
