// When snapshots of what listens are taken. What one finds is tested in test/sensor/network/listener-scan.test.ts.
import { beforeEach, expect, test } from "bun:test";
import { defaultConfig } from "../../src/config/config.ts";
import { networkFilters } from "../../src/sensor/network/filters.ts";
import type { NetworkWatch } from "../../src/sensor/network/watch.ts";
import { ListenerSnapshots } from "../../src/warden/listener-snapshots.ts";

const SECOND = 1e9;
const { network } = defaultConfig();
const filters = networkFilters(network);
const listeners: NetworkWatch = { kinds: ["listen"], filters };

let watched: NetworkWatch | undefined;
let interval = "1h";
let begun = 0;
let snapshots: ListenerSnapshots;

beforeEach(() => {
  watched = undefined;
  interval = "1h";
  begun = 0;
  snapshots = new ListenerSnapshots({
    work: { add: () => (begun += 1) },
    source: () => "ebpf",
    watched: () => watched,
    interval: () => interval,
    mayFollowLinks: () => true,
    emit: () => undefined,
    onTruncated: () => undefined,
  });
});

/** How many snapshots have begun until `seconds`. */
function until(seconds: number): number {
  for (let now = 0; now <= seconds; now += 60) snapshots.work(now * SECOND);
  return begun;
}

test("none is taken and nothing wakes the warden while listeners are not watched", () => {
  expect(until(10_000)).toBe(0);
  watched = { kinds: ["connect"], filters };
  expect(until(10_000)).toBe(0);
  expect(snapshots.dueIn(0)).toBeUndefined();
});

test("one is taken when they begin to be watched, and then one at each interval", () => {
  watched = listeners;
  expect(snapshots.dueIn(0)).toBe(0);
  expect(until(0)).toBe(1);
  expect(snapshots.dueIn(0)).toBe(3_600 * SECOND);
  expect(until(3_599)).toBe(1);
  expect(until(7_200)).toBe(3);
});

test("with `off` only the first", () => {
  watched = listeners;
  interval = "off";
  expect(until(10_000)).toBe(1);
  expect(snapshots.dueIn(0)).toBeUndefined();
});

test("another filter has one taken at once; what else is watched has not", () => {
  watched = listeners;
  until(60);
  watched = { kinds: ["connect", "listen"], filters };
  expect(until(120)).toBe(1);
  watched = {
    kinds: ["listen"],
    filters: { ...filters, listen: { ...filters.listen, transports: ["tcp"] } },
  };
  expect(until(120)).toBe(2);
});

test("another interval holds from now on", () => {
  watched = listeners;
  until(0);
  interval = "2m";
  snapshots.work(60 * SECOND);
  expect(snapshots.dueIn(60 * SECOND)).toBe(120 * SECOND);
});
