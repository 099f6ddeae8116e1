// Which of two wardens handles an event while one replaces the other: each event is handled once, whatever the order in
// which their sources report it.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { ProcessEvent } from "../../src/sensor/event.ts";
import { EventsAfter, EventsUntil, leaveHandover, takeHandover } from "../../src/warden/handover.ts";

const UNTIL = 1_000_000_000;

function exit(pid: number, time: number): ProcessEvent {
  return { kind: "exit", source: "ebpf", time, pid, status: 0 };
}

/** An event as two programs of the kernel report it: the second one some microseconds later. */
const twice = fc.record({
  time: fc.integer({ min: UNTIL - 3_000_000, max: UNTIL + 3_000_000 }),
  later: fc.integer({ min: 0, max: 50_000 }),
});

test("each event is handled by exactly one of the two", () => {
  fc.assert(
    fc.property(fc.array(twice, { maxLength: 200 }), (events) => {
      const first = new EventsUntil(UNTIL);
      const handled = new Map<number, number>();
      const handle = (pid: number): void => void handled.set(pid, (handled.get(pid) ?? 0) + 1);
      const sorted = events.toSorted((a, b) => a.time - b.time);
      for (const [pid, { time }] of sorted.entries()) if (first.takes(exit(pid, time))) handle(pid);
      const second = new EventsAfter(first);
      for (const [pid, { time, later }] of sorted.entries())
        if (second.isOver || second.takes(exit(pid, time + later))) handle(pid);
      expect([...sorted.keys()].filter((pid) => handled.get(pid) !== 1)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test("a process that does the same again shortly after the change does it again", () => {
  const first = new EventsUntil(UNTIL);
  first.takes(exit(7, UNTIL - 10));
  const second = new EventsAfter(first);
  expect([second.takes(exit(7, UNTIL + 5)), second.takes(exit(7, UNTIL + 20))]).toEqual([false, true]);
});

describe("a loss, which is noticed later than the events that follow it in the ring", () => {
  const loss: ProcessEvent = {
    kind: "loss",
    source: "ebpf",
    time: UNTIL + 5_000_000,
    reason: "overrun",
    count: 3,
  };

  test("is reported by the warden that is replaced, which goes on with its last events", () => {
    const first = new EventsUntil(UNTIL);
    expect([first.takes(loss), first.isPassed, first.takes(exit(7, UNTIL - 10))]).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("is reported by the successor, which does not handle again what was handled", () => {
    const second = new EventsAfter(new EventsUntil(UNTIL));
    expect([second.takes(loss), second.isOver]).toEqual([true, false]);
    expect(second.takes(exit(7, UNTIL - 10))).toBe(false);
  });
});

describe("what is left for the successor", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "handover-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const handover = { run: "tw-1", until: UNTIL, recent: ["exec 7"], forest: "{}" };

  test("is taken once", () => {
    leaveHandover(folder, handover);
    expect(takeHandover(folder, "tw-1")).toMatchObject(handover);
    expect(takeHandover(folder, "tw-1")).toBeUndefined();
  });

  test("of another run is removed and not used", () => {
    leaveHandover(folder, handover);
    expect(takeHandover(folder, "tw-2")).toBeUndefined();
    expect(existsSync(join(folder, "handover.json"))).toBe(false);
  });

  test.each(["", "{", '{"version":2}', '{"version":1,"run":"tw-1","until":"now","recent":[],"forest":""}'])(
    "is not used if it is %j",
    (text) => {
      writeFileSync(join(folder, "handover.json"), text, { mode: 0o600 });
      expect(takeHandover(folder, "tw-1")).toBeUndefined();
    },
  );
});
