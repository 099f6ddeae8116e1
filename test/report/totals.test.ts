import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Totals } from "../../src/report/totals.ts";
import { OVERFLOW_TREE, type TreeHandle, TreeTotals } from "../../src/report/tree-totals.ts";
import { parseFrame, type SeriesChange } from "../../src/report/wire.ts";

/** What the reporter reads of everything that changed. */
function told(totals: Totals): readonly SeriesChange[] {
  const changed: SeriesChange[] = [];
  while (totals.pending) {
    const text = `{"type":"totals","generation":1,"whole":false,"changed":[${totals.takeChanged(4_096).join(",")}]}`;
    const frame = parseFrame(new TextEncoder().encode(text));
    if (frame?.type === "totals") changed.push(...frame.changed);
  }
  return changed;
}

function value(
  changes: readonly SeriesChange[],
  instrument: string,
  ...values: string[]
): SeriesChange["value"] | undefined {
  return changes.findLast((each) => each.instrument === instrument && Bun.deepEquals(each.values, values))
    ?.value;
}

describe("totals", () => {
  test("counters with closed labels are there at 0 from the start", () => {
    const changes = told(new Totals());
    for (const event of ["fork", "exec", "exit"]) expect(value(changes, "events", event)).toBe(0);
    expect(value(changes, "eventsLost", "netlink", "overrun")).toBe(0);
    expect(value(changes, "resyncs")).toBe(0);
    expect(value(changes, "verdictDuration", "killed")).toEqual({
      counts: new Array(16).fill(0),
      sum: 0,
    });
  });

  test("only what changed is told, as an absolute value, once", () => {
    const totals = new Totals();
    told(totals);
    const execs = totals.counter("events", { event: "exec" });
    execs.add(2);
    execs.add(3);
    expect(told(totals)).toEqual([{ instrument: "events", values: ["exec"], value: 5, kept: false }]);
    expect(told(totals)).toEqual([]);
    totals.markAllChanged();
    expect(value(told(totals), "events", "exec")).toBe(5);
  });

  test("a bucket takes what is not above its bound", () => {
    const totals = new Totals();
    const latency = totals.histogram("verdictDuration", { outcome: "killed" });
    for (const seconds of [0, 0.00005, 0.00006, 10, 10.5]) latency.observe(seconds);
    expect(value(told(totals), "verdictDuration", "killed")).toEqual({
      counts: [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
      sum: 0 + 0.00005 + 0.00006 + 10 + 10.5,
    });
  });

  test("what is no number changes nothing, and a counter never goes back", () => {
    const totals = new Totals();
    const execs = totals.counter("events", { event: "exec" });
    execs.add(1);
    for (const wrong of [-1, Number.NaN, Number.POSITIVE_INFINITY]) execs.add(wrong);
    expect(value(told(totals), "events", "exec")).toBe(1);
  });

  test("a removed series is told as gone, and an old handle to it changes nothing", () => {
    const totals = new Totals();
    const info = totals.gauge("policyInfo", { role: "web", version: "1", digest: "x" });
    info.set(1);
    told(totals);
    totals.remove("policyInfo", { role: "web", version: "1", digest: "x" });
    expect(value(told(totals), "policyInfo", "web", "1", "x")).toBeNull();
    info.set(2);
    expect(told(totals)).toEqual([]);
  });

  test("open labels are bounded: beyond that all is counted under one series", () => {
    const totals = new Totals();
    for (let i = 0; i < 20_000; i += 1) totals.counter("rulesUndecided", { rule: `r${i}` }).add(1);
    const changes = told(totals);
    expect(changes.length).toBeLessThanOrEqual(10_001);
    expect(value(changes, "rulesUndecided", "overflow")).toBeGreaterThan(9_000);
  });
});

describe("trees", () => {
  let clock = 0;
  const made = (limit: number, mode: "off" | "gauge" | "full" = "full") => {
    clock = 0;
    const totals = new Totals();
    return { totals, trees: new TreeTotals(totals, { mode, limit }, () => clock) };
  };

  test("two processes of a tree are two, and the end of one leaves one", () => {
    const { totals, trees } = made(10);
    const first = trees.started("/a", false);
    trees.started("/a", false);
    trees.ended(first, 3);
    const changes = told(totals);
    expect(value(changes, "treeProcesses", "/a")).toBe(1);
    expect(value(changes, "treeDuration", "/a")).toMatchObject({ sum: 3 });
  });

  test("an exec moves a process from one tree to another without a duration", () => {
    const { totals, trees } = made(10);
    const handle = trees.moved(trees.started("/a", false), "/a/b", false);
    const changes = told(totals);
    expect(value(changes, "treeProcesses", "/a")).toBe(0);
    expect(value(changes, "treeProcesses", "/a/b")).toBe(1);
    expect(value(changes, "treeDuration", "/a")).toMatchObject({ sum: 0 });
    expect(handle.tree).toBe("/a/b");
  });

  test("beyond the limit trees fold into one, counted; their processes end where they were counted", () => {
    const { totals, trees } = made(2);
    trees.started("/a", false);
    const b = trees.started("/b", false);
    const c = trees.started("/c", false);
    const c2 = trees.started("/c", false);
    trees.ended(b, 1);
    clock += 3_600_001;
    // The hour of /b is over: there is room for /c now, but what was folded stays folded.
    const late = trees.started("/c", false);
    trees.ended(c, 1);
    const changes = told(totals);
    expect(value(changes, "treeProcesses", OVERFLOW_TREE)).toBe(1);
    expect(value(changes, "treeProcesses", "/c")).toBe(1);
    expect(value(changes, "treesOverflow")).toBe(1);
    trees.ended(c2, 1);
    trees.ended(late, 1);
    const after = told(totals);
    expect(value(after, "treeProcesses", OVERFLOW_TREE)).toBe(0);
    expect(value(after, "treeProcesses", "/c")).toBe(0);
  });

  test("a tree that is not known leaves an hour after it last ran, a known one stays", () => {
    const { totals, trees } = made(10);
    trees.ended(trees.started("/new", false), 1);
    trees.ended(trees.started("/known", true), 1);
    clock += 3_500_000;
    trees.ended(trees.started("/new", false), 1);
    clock += 3_500_000;
    trees.expire();
    expect(trees.size).toBe(2);
    clock += 200_000;
    trees.expire();
    expect(trees.size).toBe(1);
    const changes = told(totals);
    expect(value(changes, "treeProcesses", "/new")).toBeNull();
    expect(value(changes, "treeDuration", "/known")).toMatchObject({ sum: 1 });
  });

  test("a tree that runs again stays, however long it runs", () => {
    const { trees } = made(10);
    trees.ended(trees.started("/a", false), 1);
    trees.ended(trees.started("/b", false), 1);
    trees.started("/a", false);
    trees.started("/b", false);
    clock += 2 * 3_600_000;
    trees.expire();
    expect(trees.size).toBe(2);
  });

  test("only a known tree may push out one that is idle", () => {
    const { trees } = made(1);
    trees.ended(trees.started("/a", false), 1);
    expect(trees.started("/b", false).tree).toBe(OVERFLOW_TREE);
    expect(trees.started("/k", true).tree).toBe("/k");
  });

  test("`off` makes no series, `gauge` no durations", () => {
    const off = made(10, "off");
    off.trees.ended(off.trees.started("/a", false), 1);
    expect(told(off.totals).some((each) => each.instrument === "treeProcesses")).toBe(false);
    const gauge = made(10, "gauge");
    gauge.trees.ended(gauge.trees.started("/a", false), 1);
    const changes = told(gauge.totals);
    expect(value(changes, "treeProcesses", "/a")).toBe(0);
    expect(value(changes, "treeDuration", "/a")).toBeUndefined();
  });

  test("whatever happens, no tree runs less than none and in the end none runs", () => {
    const step = fc.record({
      what: fc.constantFrom("start", "end", "move", "wait"),
      tree: fc.nat(8),
      known: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 6 }), (steps, limit) => {
        const { totals, trees } = made(limit);
        const alive: TreeHandle[] = [];
        const gauges = new Map<string, number>();
        const look = () => {
          for (const { instrument, values, value } of told(totals)) {
            if (instrument !== "treeProcesses") continue;
            if (value === null) gauges.delete(values[0] ?? "");
            else gauges.set(values[0] ?? "", Number(value));
          }
          const running = [...gauges.values()];
          expect(Math.min(0, ...running)).toBe(0);
          expect(running.reduce((sum, each) => sum + each, 0)).toBe(alive.length);
          expect(gauges.size).toBeLessThanOrEqual(limit + 1);
        };
        for (const { what, tree, known } of steps) {
          const handle = what === "end" || what === "move" ? alive.pop() : undefined;
          if (what === "start") alive.push(trees.started(`/t${tree}`, known));
          if (handle !== undefined && what === "end") trees.ended(handle, 1);
          if (handle !== undefined && what === "move") alive.push(trees.moved(handle, `/t${tree}`, known));
          if (what === "wait") clock += 1_000_000;
          trees.expire();
          look();
        }
        for (const handle of alive.splice(0)) trees.ended(handle, 1);
        look();
      }),
      { numRuns: 200 },
    );
  });
});
