import { expect, test } from "bun:test";
import { instrumentNamed, instrumentNames } from "../../src/report/instruments.ts";
import type { CumulativeSeries } from "../../src/reporter/cumulative-totals.ts";
import { contentTypes, type ExpositionFormat, expose, formatFor } from "../../src/reporter/exposition.ts";

const hostile = 'a\\x0ab"c\\d{e="f"}\ng \u00fc,';
const histogram = (n: number) => ({ counts: Array.from({ length: n + 1 }, (_, i) => i), sum: 1.5 });

/** One series of every instrument, each label as bad as can be, and a second one. */
const everything: CumulativeSeries[] = instrumentNames.flatMap((instrument) => {
  const { attributes, kind, buckets } = instrumentNamed(instrument);
  const value = kind === "histogram" ? histogram(buckets?.length ?? 0) : 3;
  const first = { instrument, values: attributes.map(() => hostile), value };
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
      const name = sample.exec(line)?.[1] ?? `not a sample: ${line}`;
      const suffix = name.slice(family.length);
      const kind = types.get(family);
      const allowed =
        kind === "histogram"
          ? ["_bucket", "_sum", "_count"]
          : kind === "counter" && format === "openmetrics"
            ? ["_total"]
            : [""];
      expect([name, allowed.includes(suffix) && name.startsWith(family)]).toEqual([name, true]);
      if (kind === "counter") expect(name.endsWith("_total")).toBe(true);
    }
    expect(types.size).toBe(instrumentNames.length);
  });
}

test("a hostile tree name comes back as it was", () => {
  const text = expose([{ instrument: "treeProcesses", values: [hostile], value: 0 }], "prometheus");
  const quoted = /^process\{tree="((?:[^"\\]|\\.)*)",state="STOPPED"\} 1$/m.exec(text)?.[1];
  expect(quoted?.replace(/\\(.)/g, (_all, c: string) => (c === "n" ? "\n" : c))).toBe(hostile);
});

test("buckets add up, the last is everything and equals the count", () => {
  const text = expose([{ instrument: "treeDuration", values: ["/a"], value: histogram(8) }], "prometheus");
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

test("OpenMetrics goes to those who ask for it", () => {
  const prometheus =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
  expect(formatFor(prometheus)).toBe("openmetrics");
  expect(formatFor("text/plain")).toBe("prometheus");
  expect(formatFor(null)).toBe("prometheus");
  expect(contentTypes.openmetrics).toContain("version=1.0.0");
});
