// The text that Prometheus scrapes, in its own format or in OpenMetrics 1.0. What has not changed since the last scrape is
// not formatted again: two thousand trees have some 50,000 lines.
import {
  type Instrument,
  type InstrumentName,
  instrumentNamed,
  instrumentNames,
} from "../report/instruments.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";

export type ExpositionFormat = "prometheus" | "openmetrics";
/** Which names the metrics of trees have: prom-cnproc's, treewarden's own, or both. */
export type TreeMetricNames = "cnproc" | "treewarden" | "both";

export const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** A metric family: an instrument under one of its names. */
interface Family {
  readonly instrument: InstrumentName;
  readonly name: string;
  /** The text of each series. Invalidated by: a change of the series, which makes it another object. */
  readonly texts: Readonly<Record<ExpositionFormat, WeakMap<CumulativeSeries, string>>>;
}

export class Exposition {
  private readonly families: readonly Family[];

  constructor(names: TreeMetricNames) {
    this.families = instrumentNames.flatMap((instrument) =>
      namesOf(instrumentNamed(instrument), names).map((name) => ({
        instrument,
        name,
        texts: { prometheus: new WeakMap(), openmetrics: new WeakMap() },
      })),
    );
  }

  /** Formats all series, with the help and type of each family. */
  format(series: Iterable<CumulativeSeries>, format: ExpositionFormat): string {
    const byInstrument = Map.groupBy(series, ({ instrument }) => instrument);
    const parts: string[] = [];
    for (const { instrument, name, texts } of this.families) {
      const list = byInstrument.get(instrument);
      if (list === undefined) continue;
      parts.push(header(instrument, name, format));
      const known = texts[format];
      for (const each of list) {
        let text = known.get(each);
        if (text === undefined) {
          text = samplesOf(each, name, format);
          known.set(each, text);
        }
        parts.push(text);
      }
    }
    if (format === "openmetrics") parts.push("# EOF\n");
    return parts.join("");
  }
}

function namesOf({ prometheus, ownName }: Instrument, names: TreeMetricNames): readonly string[] {
  if (ownName === undefined || names === "cnproc") return [prometheus];
  return names === "treewarden" ? [ownName] : [prometheus, ownName];
}

/** Base units that OpenMetrics knows, by the end of a family's name, which must agree with them. */
const units = ["seconds", "bytes"];

function header(instrument: InstrumentName, name: string, format: ExpositionFormat): string {
  const { kind, description } = instrumentNamed(instrument);
  // In OpenMetrics a counter's family has no `_total`; its samples do.
  const title = format === "openmetrics" ? withoutTotal(name) : name;
  const unit = units.find((each) => format === "openmetrics" && title.endsWith(`_${each}`));
  const help = `# HELP ${title} ${escapeHelp(description)}\n# TYPE ${title} ${kind}\n`;
  return unit === undefined ? help : `${help}# UNIT ${title} ${unit}\n`;
}

function samplesOf(
  { instrument, values, value, createdMs }: CumulativeSeries,
  name: string,
  format: ExpositionFormat,
): string {
  const { kind, attributes, buckets } = instrumentNamed(instrument);
  const labels = attributes.map((attribute, i) => `${attribute}="${escapeLabel(values[i] ?? "")}"`);
  const created =
    format === "openmetrics" && kind !== "gauge" && createdMs !== undefined
      ? sample(`${withoutTotal(name)}_created`, labels, createdMs / 1000)
      : "";
  if (typeof value !== "number")
    return histogram(name, labels, value.counts, value.sum, buckets ?? []) + created;
  if (instrument === "treeProcesses") return states(name, labels, value);
  return sample(name, labels, value) + created;
}

function withoutTotal(name: string): string {
  return name.replace(/_total$/, "");
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
  const bucket = `${name}_bucket{${labels.map((label) => `${label},`).join("")}le="`;
  let text = "";
  let count = 0;
  counts.forEach((inBucket, i) => {
    count += inBucket;
    text += `${bucket}${bounds[i] ?? "+Inf"}"} ${count}\n`;
  });
  return `${text}${sample(`${name}_sum`, labels, sum)}${sample(`${name}_count`, labels, count)}`;
}

function sample(name: string, labels: readonly string[], value: number): string {
  return labels.length === 0 ? `${name} ${value}\n` : `${name}{${labels.join(",")}} ${value}\n`;
}

/** Escapes backslash, newline and double quote, as both formats require. */
function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
