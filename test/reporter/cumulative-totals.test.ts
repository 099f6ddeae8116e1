import { describe, expect, test } from "bun:test";
import type { SeriesChange } from "../../src/report/wire.ts";
import { CumulativeTotals, type OwnSeries } from "../../src/reporter/cumulative-totals.ts";

const failures: OwnSeries = { instrument: "exportFailures", values: ["logs"] };
const own: readonly OwnSeries[] = [failures, { instrument: "exportFailures", values: ["mail"] }];

describe("the reporter's totals", () => {
  const now = 1_000_000_000_000;
  const change = (
    instrument: "events" | "treeProcesses" | "info",
    values: string[],
    n: number,
  ): SeriesChange => ({
    instrument,
    values,
    value: n,
    kept: false,
  });
  const read = (totals: CumulativeTotals, instrument: string, at = now) =>
    [...totals.series(at)].filter((each) => each.instrument === instrument).map((each) => each.value);

  test("adds what a dead warden had reached to what the living one says", () => {
    const totals = new CumulativeTotals(own);
    totals.onHello(true, now);
    totals.apply([change("events", ["exec"], 10), change("info", ["1", "netlink", "observe"], 1)], true);
    totals.onHello(true, now);
    expect(read(totals, "events")).toEqual([10]);
    expect(read(totals, "info")).toEqual([]);
    totals.apply([change("events", ["exec"], 3)], true);
    expect(read(totals, "events")).toEqual([13]);
  });

  test("lets go of a tree that nobody knows any more after an hour, and shows it stopped until then", () => {
    const totals = new CumulativeTotals(own);
    totals.onHello(true, now);
    totals.apply([change("treeProcesses", ["/a"], 2)], true);
    totals.onHello(true, now);
    totals.apply([], true);
    expect(read(totals, "treeProcesses", now + 3_599_000)).toEqual([0]);
    expect(read(totals, "treeProcesses", now + 3_601_000)).toEqual([]);
  });

  test("is bounded, however often wardens die with trees that come once", () => {
    const totals = new CumulativeTotals(own);
    for (let generation = 0; generation < 10; generation += 1) {
      totals.onHello(true, now + generation);
      const trees = Array.from({ length: 2_000 }, (_, i) =>
        change("treeProcesses", [`/${generation}/${i}`], 1),
      );
      totals.apply(trees, true);
    }
    expect(read(totals, "treeProcesses").length).toBeLessThanOrEqual(6_000);
  });

  test("a series that the same warden no longer names is gone after it has told everything", () => {
    const totals = new CumulativeTotals(own);
    totals.onHello(true, now);
    totals.apply([change("treeProcesses", ["/a"], 2), change("events", ["exec"], 1)], true);
    totals.onHello(false, now);
    totals.apply([change("events", ["exec"], 1)], false);
    expect(read(totals, "treeProcesses")).toEqual([2]);
    totals.apply([], true);
    expect(read(totals, "treeProcesses")).toEqual([]);
  });

  test("is the same after it was remembered", () => {
    const totals = new CumulativeTotals(own);
    totals.onHello(true, now);
    totals.apply([change("events", ["exec"], 10)], true);
    totals.onHello(true, now);
    totals.apply([change("events", ["exec"], 5)], true);
    totals.add(failures, 2);
    const bodies = totals.takeChanged().flatMap(({ body }) => body ?? []);
    expect(totals.takeChanged()).toEqual([]);
    const restored = new CumulativeTotals(own);
    restored.restore([
      ...bodies,
      "nonsense",
      "{}",
      '{"instrument":"events","values":["exec"],"carriedOver":"x","current":1}',
    ]);
    expect(read(restored, "events")).toEqual([15]);
    expect(new Set(read(restored, "exportFailures"))).toEqual(new Set([0, 2]));
  });
});
