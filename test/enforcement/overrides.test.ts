// The files of root's orders: what they hold, when an order ends, and that hostile bytes are no order.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatOrders,
  formatRecorded,
  inForceAt,
  nextEndAfter,
  noOverrides,
  type Overrides,
  overrideKinds,
  type PauseOrder,
  parseOrders,
  parseRecorded,
  type Requester,
} from "../../src/enforcement/overrides.ts";
import { endAfter, type Moment, secondsUntil } from "../../src/vocabulary/moment.ts";

const now: Moment = { wall: 1_790_000_000, boot: "a", boottime: 5_000 };
const by: Requester = { pid: 4_711, login_user: 1_000, session: null, tree: "/sshd/bash/sudo/treewarden" };
const order = (digit: string) => ({ id: digit.repeat(16), since: now.wall, by, reason: "a reason" });

const overrides: Overrides = {
  arm: [{ ...order("1"), rule: "web/shell", unit: "nginx.service", user: 33 }],
  disarm: [
    {
      ...order("2"),
      rule: null,
      unit: null,
      except: [{ rule: "web/shell", unit: null, user: null }],
      end: null,
    },
  ],
  confirm: [{ ...order("5"), rule: "web/shell", digest: "0".repeat(64) }],
  pause: [{ ...order("3"), end: endAfter(3_600, now) }],
  silence: [
    {
      ...order("4"),
      number: 1,
      rule: "web/shell",
      tree: "/**/cron/*",
      unit: null,
      end: endAfter(60, now),
    },
  ],
};

describe("a file of orders", () => {
  test("is read as it was written", () => {
    for (const kind of overrideKinds)
      expect(parseOrders[kind](formatOrders(kind, overrides))).toEqual(overrides[kind]);
    const recorded = { inForce: overrides, ended: ["0123456789abcdef"] };
    expect(parseRecorded(formatRecorded(recorded))).toEqual(recorded);
  });

  test("with a change anywhere is the same orders, or none at all", () => {
    const texts = overrideKinds.map((kind) => [kind, formatOrders(kind, overrides)] as const);
    const change = fc.tuple(fc.constantFrom(...texts), fc.nat(), fc.string({ maxLength: 4 }), fc.nat(3));
    fc.assert(
      fc.property(change, ([[kind, text], place, put, drop]) => {
        const at = place % text.length;
        const parsed = parseOrders[kind](text.slice(0, at) + put + text.slice(at + drop));
        if (parsed === undefined) return;
        // What is accepted has the shape of orders, so that it can be written and read again.
        const again: unknown = parseOrders[kind](formatOrders(kind, { ...noOverrides, [kind]: parsed }));
        expect(again).toEqual(parsed);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["another version", '{"version":2,"orders":[]}'],
    ["a further key", '{"version":1,"orders":[],"all":true}'],
    ["a list", "[]"],
    [
      "1,001 pauses",
      formatOrders("pause", {
        pause: Array<PauseOrder>(1_001).fill({ ...order("3"), end: endAfter(1, now) }),
      }),
    ],
    ["a number that is none", formatOrders("pause", overrides).replace(/"wall": [\d.]+/, '"wall": 1e999')],
    ["a pause of centuries", formatOrders("pause", overrides).replace('"length": 3600', '"length": 3e9')],
  ])("with %s is none", (_, text) => {
    expect(parseOrders.pause(text)).toBeUndefined();
  });

  test("names rules by role and id only", () => {
    for (const rule of ["shell", "*/shell", "web/*", "all", "web/she ll", "../x/y"])
      expect(parseOrders.arm(formatOrders("arm", overrides).replace("web/shell", rule))).toBeUndefined();
  });
});

describe("an order of an hour ends", () => {
  const end = endAfter(3_600, now);
  const at = (more: Partial<Moment>): number => secondsUntil(end, { ...now, ...more });

  test("after an hour, and not before", () => {
    expect(at({ wall: now.wall + 3_599, boottime: now.boottime + 3_599 })).toBe(1);
    expect(at({ wall: now.wall + 3_600, boottime: now.boottime + 3_600 })).toBe(0);
  });

  test("although the clock was set back meanwhile", () => {
    expect(at({ wall: now.wall - 86_400, boottime: now.boottime + 3_600 })).toBeLessThanOrEqual(0);
  });

  test("at once if the clock is set forward by an hour", () => {
    expect(at({ wall: now.wall + 3_600, boottime: now.boottime + 1 })).toBeLessThanOrEqual(0);
  });

  test("after an hour of which the machine was suspended, because CLOCK_BOOTTIME goes on", () => {
    expect(at({ wall: now.wall + 10, boottime: now.boottime + 3_600 })).toBeLessThanOrEqual(0);
  });

  test("by its wall time in another boot, whose clock begins anew", () => {
    expect(at({ boot: "b", boottime: 20, wall: now.wall + 100 })).toBe(3_500);
    expect(at({ boot: "b", boottime: 20, wall: now.wall + 3_600 })).toBe(0);
  });

  test("when another boot has lasted for an hour, although its clock is wrong", () => {
    expect(at({ boot: "b", boottime: 3_600, wall: now.wall - 86_400 })).toBeLessThanOrEqual(0);
  });
});

test("what has ended is not in force, and the next end is the earliest", () => {
  expect(nextEndAfter(overrides, now)).toBe(60);
  const later = { ...now, wall: now.wall + 61, boottime: now.boottime + 61 };
  expect(inForceAt(overrides, later)).toEqual({ ...overrides, silence: [] });
  expect(nextEndAfter(inForceAt(overrides, later), later)).toBe(3_539);
  expect(nextEndAfter(noOverrides, now)).toBeUndefined();
});

test("an order to confirm is carried out within ten minutes or not at all, also if the clock is set back", () => {
  for (const [seconds, isLeft] of [
    [600, true],
    [601, false],
    [-601, false],
  ] as const)
    expect(inForceAt(overrides, { ...now, wall: now.wall + seconds }).confirm).toHaveLength(isLeft ? 1 : 0);
});
