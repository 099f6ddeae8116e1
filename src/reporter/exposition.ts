// The text that Prometheus scrapes: its own format, and OpenMetrics 1.0 for those who ask for that.
import { type InstrumentName, instrumentNamed, instrumentNames } from "../report/instruments.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";

export type ExpositionFormat = "prometheus" | "openmetrics";

export const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** Which format the `Accept` header asks for. */
export function formatFor(accept: string | null): ExpositionFormat {
  return accept?.includes("application/openmetrics-text") === true ? "openmetrics" : "prometheus";
}

/** All series, each instrument once with its help and type. */
export function expose(series: Iterable<CumulativeSeries>, format: ExpositionFormat): string {
  const byName = new Map<InstrumentName, CumulativeSeries[]>();
  for (const one of series) {
    const list = byName.get(one.instrument);
    if (list === undefined) byName.set(one.instrument, [one]);
    else list.push(one);
  }
  let text = "";
  for (const name of instrumentNames) {
    const list = byName.get(name);
    if (list !== undefined) text += family(name, list, format);
  }
  return format === "openmetrics" ? `${text}# EOF\n` : text;
}

function family(name: InstrumentName, list: readonly CumulativeSeries[], format: ExpositionFormat): string {
  const { prometheus, kind, description, attributes, buckets } = instrumentNamed(name);
  // In OpenMetrics a counter's family has no `_total`; its samples do.
  const title =
    format === "openmetrics" && kind === "counter" ? prometheus.replace(/_total$/, "") : prometheus;
  let text = `# HELP ${title} ${escapeHelp(description)}\n# TYPE ${title} ${kind}\n`;
  for (const { values, value } of list) {
    const labels = attributes.map((attribute, i) => `${attribute}="${escapeLabel(values[i] ?? "")}"`);
    if (typeof value !== "number")
      text += histogram(prometheus, labels, value.counts, value.sum, buckets ?? []);
    else if (name === "treeProcesses") text += states(prometheus, labels, value);
    else text += sample(prometheus, labels, value);
  }
  return text;
}

function states(name: string, labels: readonly string[], running: number): string {
  return (
    sample(name, [...labels, 'state="RUNNING"'], running) +
    sample(name, [...labels, 'state="STOPPED"'], running === 0 ? 1 : 0)
  );
}

function histogram(
  name: string,
  labels: readonly string[],
  counts: readonly number[],
  sum: number,
  bounds: readonly number[],
): string {
  let text = "";
  let count = 0;
  counts.forEach((own, i) => {
    count += own;
    const bound = bounds[i];
    text += sample(`${name}_bucket`, [...labels, `le="${bound === undefined ? "+Inf" : bound}"`], count);
  });
  return `${text}${sample(`${name}_sum`, labels, sum)}${sample(`${name}_count`, labels, count)}`;
}

function sample(name: string, labels: readonly string[], value: number): string {
  return labels.length === 0 ? `${name} ${value}\n` : `${name}{${labels.join(",")}} ${value}\n`;
}

/** Both formats: backslash, newline and double quote. */
function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
