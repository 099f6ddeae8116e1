import { expect, test } from "bun:test";
import fc from "fast-check";
import { instrumentNamed, instrumentNames } from "../../src/report/instruments.ts";
import type { CumulativeSeries } from "../../src/reporter/cumulative-totals.ts";
import { Exposition, type ExpositionFormat, type TreeMetricNames } from "../../src/reporter/exposition.ts";

function expose(
  series: readonly CumulativeSeries[],
  format: ExpositionFormat,
  names: TreeMetricNames = "both",
): string {
  return new Exposition(names).format(series, format);
}

function manyTrees(count: number): readonly CumulativeSeries[] {
  return Array.from({ length: count }, (_, i) => ({
    instrument: "treeProcesses",
    values: [`/base/tree-${i}`],
    value: i,
  }));
}

test("a compressed answer is the text, whichever series have changed, gone or come since the last one", async () => {
  const series = fc.array(fc.constantFrom("same", "changed", "gone", "new"), { maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(fc.array(series, { maxLength: 4 }), async (rounds) => {
      const exposition = new Exposition("both");
      let list = [...manyTrees(200), ...everything];
      let made = 0;
      for (const changes of rounds) {
        for (const format of ["prometheus", "openmetrics"] as const) {
          const text = Buffer.from(Bun.gunzipSync(await exposition.compress(list, format))).toString();
          expect(text).toBe(new Exposition("both").format(list, format));
        }
        list = list.flatMap((each, i) => {
          if (changes[i] === "gone") return [];
          if (changes[i] === "changed") return [{ ...each }];
          made += 1;
          return changes[i] === "new" ? [each, { ...each, values: [`/new-${made}`] }] : [each];
        });
      }
    }),
    { numRuns: 20 },
  );
});

test("a compressed answer formats only the trees that are near one that has changed", async () => {
  const formatted: number[] = [];
  const exposition = new Exposition("cnproc", (length) => formatted.push(length));
  const list = manyTrees(1_000);
  const text = exposition.format(list, "prometheus");
  await exposition.compress(list, "prometheus");
  await exposition.compress(list, "prometheus");
  const next = list.map((each, i) => (i === 0 ? { ...each, value: 7 } : each));
  await exposition.compress(next, "prometheus");
  const [plain, first = 0, again = 0, changed = 0] = formatted;
  expect([plain, first]).toEqual([text.length, text.length]);
  expect(again).toBeLessThan(200);
  expect(changed).toBeGreaterThan(200);
  expect(changed).toBeLessThan(text.length / 5);
});

const hostile = 'a\\x0ab"c\\d{e="f"}\ng \u00fc,';
const histogram = (n: number) => ({ counts: Array.from({ length: n + 1 }, (_, i) => i), sum: 1.5 });

/** One series of every instrument, each label as bad as can be, and a second one. */
const everything: CumulativeSeries[] = instrumentNames.flatMap((instrument) => {
  const { attributes, kind, buckets } = instrumentNamed(instrument);
  const value = kind === "histogram" ? histogram(buckets?.length ?? 0) : 3;
  const createdMs = 1_700_000_000_250;
  const first = { instrument, values: attributes.map(() => hostile), value, createdMs };
  return attributes.length === 0
    ? [first]
    : [first, { instrument, values: attributes.map(() => "plain"), value }];
});

const labels = String.raw`(?:\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*")*\})?`;
const sample = new RegExp(`^([a-zA-Z_:][a-zA-Z0-9_:]*)${labels} (-?[0-9.e+-]+)$`);

for (const format of ["prometheus", "openmetrics"] as const satisfies readonly ExpositionFormat[]) {
  test(`every line of ${format} text is in its grammar, each family together and said once`, () => {
    const lines = expose(everything, format).split("\n");
    expect(lines.pop()).toBe("");
    if (format === "openmetrics") expect(lines.pop()).toBe("# EOF");
    const types = new Map<string, string>();
    let family = "";
    for (const line of lines) {
      const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
      if (type !== null) {
        family = type[1] ?? "";
        expect(types.has(family)).toBe(false);
        types.set(family, type[2] ?? "");
        continue;
      }
      if (line.startsWith("# HELP ")) continue;
      if (line.startsWith("# UNIT ")) {
        expect(format).toBe("openmetrics");
        expect(line).toMatch(new RegExp(`^# UNIT ${family} (seconds|bytes)$`));
        expect(family.endsWith(`_${line.split(" ")[3]}`)).toBe(true);
        continue;
      }
      const name = sample.exec(line)?.[1] ?? `not a sample: ${line}`;
      const suffix = name.slice(family.length);
      const kind = types.get(family);
      const created = format === "openmetrics" ? ["_created"] : [];
      const allowed =
        kind === "histogram"
          ? ["_bucket", "_sum", "_count", ...created]
          : kind === "counter" && format === "openmetrics"
            ? ["_total", ...created]
            : [""];
      expect([name, allowed.includes(suffix) && name.startsWith(family)]).toEqual([name, true]);
      if (kind === "counter" && !name.endsWith("_created")) expect(name.endsWith("_total")).toBe(true);
    }
    // Those of trees have two names.
    expect(types.size).toBe(instrumentNames.length + 2);
  });
}

test("a hostile tree name comes back as it was", () => {
  const text = expose([{ instrument: "treeProcesses", values: [hostile], value: 0 }], "prometheus");
  const quoted = /^process\{tree="((?:[^"\\]|\\.)*)",state="STOPPED"\} 1$/m.exec(text)?.[1];
  expect(quoted?.replace(/\\(.)/g, (_all, c: string) => (c === "n" ? "\n" : c))).toBe(hostile);
});

test("buckets add up, the last is everything and equals the count", () => {
  const text = expose(
    [{ instrument: "treeDuration", values: ["/a"], value: histogram(8) }],
    "prometheus",
    "cnproc",
  );
  const buckets = [...text.matchAll(/le="([^"]+)"\} (\d+)/g)].map((match) => [match[1], Number(match[2])]);
  expect(buckets).toEqual([
    ["0.01", 0],
    ["0.1", 1],
    ["1", 3],
    ["10", 6],
    ["60", 10],
    ["600", 15],
    ["3600", 21],
    ["86400", 28],
    ["+Inf", 36],
  ]);
  expect(text).toContain('process_seconds_count{tree="/a"} 36\n');
  expect(text).toContain('process_seconds_sum{tree="/a"} 1.5\n');
});

test("trees have prom-cnproc's names, treewarden's own, or both", () => {
  const trees: CumulativeSeries[] = [
    { instrument: "treeProcesses", values: ["/a"], value: 2 },
    { instrument: "treeDuration", values: ["/a"], value: histogram(8) },
  ];
  const families = (names: TreeMetricNames) =>
    [...expose(trees, "prometheus", names).matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]);
  expect(families("cnproc")).toEqual(["process", "process_seconds"]);
  expect(families("treewarden")).toEqual(["treewarden_tree_processes", "treewarden_tree_duration_seconds"]);
  expect(families("both")).toEqual([
    "process",
    "treewarden_tree_processes",
    "process_seconds",
    "treewarden_tree_duration_seconds",
  ]);
  const text = expose(trees, "prometheus", "treewarden");
  expect(text).toContain('treewarden_tree_processes{tree="/a",state="RUNNING"} 2\n');
  expect(text).toContain('treewarden_tree_duration_seconds_bucket{tree="/a",le="+Inf"} 36\n');
});

test("OpenMetrics has the unit of a family and the time at which a series began, the other format neither", () => {
  const series: CumulativeSeries[] = [
    { instrument: "events", values: ["exec"], value: 7, createdMs: 1_700_000_000_250 },
    { instrument: "verdictDuration", values: ["killed"], value: histogram(15), createdMs: 1_700_000_000_500 },
    { instrument: "journalBytes", values: [], value: 4096, createdMs: 1_700_000_000_500 },
  ];
  const text = expose(series, "openmetrics");
  expect(text).toContain("# TYPE treewarden_events counter\n");
  expect(text).toContain('treewarden_events_total{event="exec"} 7\n');
  expect(text).toContain('treewarden_events_created{event="exec"} 1700000000.25\n');
  expect(text).toContain("# UNIT treewarden_verdict_seconds seconds\n");
  expect(text).toContain('treewarden_verdict_seconds_created{outcome="killed"} 1700000000.5\n');
  expect(text).toContain("# UNIT treewarden_journal_bytes bytes\n");
  expect(text).not.toContain("treewarden_journal_bytes_created");
  expect(expose(series, "prometheus")).not.toMatch(/_created|# UNIT/);
});

test("the text of an exposition does not depend on what was formatted before", () => {
  const exposition = new Exposition("both");
  const before = { instrument: "events", values: ["exec"], value: 7 } as const;
  const trees: CumulativeSeries = { instrument: "treeProcesses", values: ["/a"], value: 2 };
  const formats = ["prometheus", "openmetrics"] as const;
  for (const format of formats) exposition.format([before, trees], format);
  const after = { ...before, value: 8 };
  for (const format of formats)
    expect(exposition.format([after, trees], format)).toBe(expose([after, trees], format));
});
