import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { instrumentNamed, instrumentNames } from "../../src/report/instruments.ts";
import { CumulativeTotals } from "../../src/reporter/cumulative-totals.ts";
import { ownSeriesOf } from "../../src/reporter/output-set.ts";
import { outputKinds } from "../../src/reporter/outputs.ts";
import { outputSignals } from "../../src/vocabulary/outputs.ts";

const signals = outputKinds.flatMap((kind) => Object.keys(kind.signals));
const queues = outputKinds.map(({ queue }) => queue);

test("no two outputs count their failures or losses under one label", () => {
  expect([...new Set(signals)]).toEqual(signals);
  expect([...new Set(queues)]).toEqual(queues);
});

test("each signal is one of an output with a section in the configuration, so that an error there turns it off", () => {
  expect(signals.toSorted()).toEqual(outputSignals.toSorted());
});

test("failures and losses of every output are there at 0 from the start, in use or not", () => {
  const totals = new CumulativeTotals(ownSeriesOf(outputKinds));
  const series = [...totals.series(0)].map(({ instrument, values, value }) => [instrument, ...values, value]);
  for (const signal of signals) expect(series).toContainEqual(["exportFailures", signal, 0]);
  for (const queue of queues) expect(series).toContainEqual(["queueDropped", queue, 0]);
});

test("docs/reporting.md names every label", () => {
  const text = readFileSync(join(import.meta.dir, "../../docs/reporting.md"), "utf8");
  for (const label of [...signals, ...queues]) expect(text).toContain(`\`${label}\``);
});

test("docs/reporting.md has a row for each metric, with its name over OTLP and its unit", () => {
  const rows = readFileSync(join(import.meta.dir, "../../docs/reporting.md"), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  const missing = instrumentNames.filter((name) => {
    const { prometheus, otel, unit } = instrumentNamed(name);
    return !rows.some(
      (row) =>
        new RegExp(`^\\| \`${prometheus}[\`{]`).test(row) && row.endsWith(` | \`${otel}\` | ${unit} |`),
    );
  });
  expect(missing).toEqual([]);
});
