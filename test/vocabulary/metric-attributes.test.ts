import { expect, test } from "bun:test";
import { instrumentNamed, instrumentNames } from "../../src/report/instruments.ts";
import { metricAttribute, otlpMetricAttribute } from "../../src/vocabulary/metric-attributes.ts";
import { typeOfName } from "../../src/vocabulary/variables.ts";

const labels = instrumentNames.flatMap((name) => {
  const { otel, attributes } = instrumentNamed(name);
  return attributes.map((label) => ({ otel, label }));
});

test("every label of every metric has a name over OTLP", () => {
  for (const { otel, label } of labels)
    expect(metricAttribute(otel, label), `${otel} ${label}`).toBeDefined();
});

test("a metric's attribute has the name that it has in records", () => {
  const names = ["rule", "role", "action", "outcome", "severity"].map((label) =>
    otlpMetricAttribute("treewarden.verdicts", label),
  );
  expect(names).toEqual([
    "security_rule.name",
    "security_rule.ruleset.name",
    "treewarden.policy.action",
    "treewarden.policy.outcome",
    "treewarden.policy.severity",
  ]);
  expect(otlpMetricAttribute("treewarden.tree.processes", "tree")).toBe("treewarden.tree.path");
  expect(otlpMetricAttribute("treewarden.events.lost", "reason")).toBe("treewarden.sensor.loss.reason");
});

test("an attribute that records have too is text there: one name never has two types", () => {
  for (const { otel, label } of labels) {
    const row = metricAttribute(otel, label);
    if (row !== undefined && "record" in row) expect(typeOfName(row.record), row.record).toBe("string");
  }
});

test("two labels of one metric never have the same name", () => {
  for (const [otel, list] of Map.groupBy(labels, ({ otel }) => otel)) {
    const names = list.map(({ label }) => otlpMetricAttribute(otel, label));
    expect(new Set(names).size, otel).toBe(names.length);
  }
});
