import { expect, test } from "bun:test";
import { DataPointType } from "@opentelemetry/sdk-metrics";
import { Totals } from "../../src/report/totals.ts";
import { parseFrame } from "../../src/report/wire.ts";
import { type CumulativeSeries, CumulativeTotals } from "../../src/reporter/cumulative-totals.ts";
import { otlpMetrics } from "../../src/reporter/otlp-metrics.ts";

const origin = {
  resource: { "service.name": "treewarden" },
  scope: { name: "treewarden", version: "1" },
  schemaUrl: "https://opentelemetry.io/schemas/1.44.0",
};

/** What the reporter has of a warden's totals. */
class Reported {
  readonly totals: CumulativeTotals;

  constructor() {
    this.totals = new CumulativeTotals([], () => 5_000);
  }

  receive(warden: Totals, isNew: boolean): void {
    this.totals.onHello(isNew, 0);
    const changed = `[${warden.takeChanged(60_000).join(",")}]`;
    const frame = `{"type":"totals","generation":1,"whole":true,"changed":${changed}}`;
    const parsed = parseFrame(new TextEncoder().encode(frame));
    if (parsed?.type === "totals") this.totals.apply(parsed.changed, true);
  }

  get series(): CumulativeSeries[] {
    return [...this.totals.series(0)];
  }
}

function wardenWith(...seconds: readonly number[]): Totals {
  const totals = new Totals({ isExponential: true });
  for (const each of seconds) totals.histogram("verdictDuration", { outcome: "killed" }).observe(each);
  return totals;
}

function pointOf(series: readonly CumulativeSeries[], histograms: "explicit" | "base2_exponential") {
  const batch = {
    series,
    startedMs: 1_000,
    nowMs: 9_000,
    histograms: `${histograms}_bucket_histogram`,
  } as const;
  const metric = otlpMetrics(batch, origin).scopeMetrics[0]?.metrics.find(
    ({ descriptor }) => descriptor.name === "treewarden.verdict.duration",
  );
  const point = metric?.dataPoints.find(
    ({ attributes }) => attributes["treewarden.policy.outcome"] === "killed",
  );
  return { type: metric?.dataPointType, value: point?.value, startTime: point?.startTime };
}

test("histograms have the buckets of the table, or exponential ones where that is asked for", () => {
  const reported = new Reported();
  reported.receive(wardenWith(0, 0.001, 0.002), true);
  expect(pointOf(reported.series, "explicit")).toMatchObject({
    type: DataPointType.HISTOGRAM,
    value: { count: 3, sum: 0.003, buckets: { counts: [1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0] } },
  });
  const { type, value } = pointOf(reported.series, "base2_exponential");
  expect(type).toBe(DataPointType.EXPONENTIAL_HISTOGRAM);
  expect(value).toMatchObject({ count: 3, sum: 0.003, zeroCount: 1, negative: { bucketCounts: [] } });
});

test("exponential buckets go on across a killed warden and a killed reporter", () => {
  const reported = new Reported();
  reported.receive(wardenWith(0.001, 0.002), true);
  reported.receive(wardenWith(10), true);
  const expected = { count: 3, zeroCount: 0, positive: { bucketCounts: expect.any(Array) } };
  expect(pointOf(reported.series, "base2_exponential").value).toMatchObject(expected);
  const next = new Reported();
  next.totals.restore(reported.totals.takeChanged().flatMap(({ body }) => body ?? []));
  const { value } = pointOf(next.series, "base2_exponential");
  expect(value).toEqual(pointOf(reported.series, "base2_exponential").value);
});

test("a series without observations has no buckets, and one that does not count is as before", () => {
  const reported = new Reported();
  reported.receive(new Totals({ isExponential: true }), true);
  expect(pointOf(reported.series, "base2_exponential").value).toMatchObject({
    count: 0,
    zeroCount: 0,
    positive: { bucketCounts: [] },
  });
  const plain = new Reported();
  plain.receive(new Totals(), true);
  expect(JSON.stringify(plain.series)).not.toContain("exponential");
});

test("a series begins when it began, not when the run did", () => {
  const reported = new Reported();
  reported.receive(wardenWith(1), true);
  expect(pointOf(reported.series, "explicit").startTime).toEqual([5, 0]);
});
