// The text that Prometheus scrapes, in its own format or in OpenMetrics 1.0, plain or compressed. Two thousand trees have
// some 50,000 lines. Formatting them takes 10 ms and keeping them 7 MB, so they are not kept; compressing takes several
// times as long and leaves a tenth, so compressed blocks are kept as long as nothing in them changes.
import {
  type Instrument,
  type InstrumentName,
  instrumentNamed,
  instrumentNames,
} from "../report/instruments.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { GzipPart } from "./gzip-parts.ts";

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
  readonly formats: Readonly<Record<ExpositionFormat, FamilyFormat>>;
}

/** A family in one format. */
interface FamilyFormat {
  readonly header: string;
  /** What surrounds the labels and the value in each line of a series, in their order. */
  readonly lines: readonly LineFrame[];
  /** The blocks of the last scrape, by their first series. Invalidated by: a change of any of their series. */
  blocks: ReadonlyMap<CumulativeSeries, CompressedBlock>;
}

/** Series of a family that follow each other. */
type Block = readonly CumulativeSeries[];

interface CompressedBlock {
  readonly series: Block;
  readonly part: GzipPart;
}

/** One series in so many begins a block, by a hash of its name, so that one that comes or goes changes one block only. */
const SERIES_PER_BLOCK = 32;
const LONGEST_BLOCK = 4 * SERIES_PER_BLOCK;

/** `name{` LABELS `,le="0.1"} ` VALUE; the braces are missing where there are no labels. */
interface LineFrame {
  readonly before: string;
  readonly after: string;
}

export class Exposition {
  private readonly families: readonly Family[];
  private readonly onFormatted: (length: number) => void;

  /** `onFormatted`: called with the length of the text that an answer needed, characters. Most of it is garbage then. */
  constructor(names: TreeMetricNames, onFormatted: (length: number) => void = () => undefined) {
    this.onFormatted = onFormatted;
    this.families = instrumentNames.flatMap((instrument) =>
      namesOf(instrumentNamed(instrument), names).map((name) => ({
        instrument,
        name,
        formats: {
          prometheus: familyFormat(instrument, name, "prometheus"),
          openmetrics: familyFormat(instrument, name, "openmetrics"),
        },
      })),
    );
  }

  /** Formats all series, with the help and type of each family. */
  format(series: Iterable<CumulativeSeries>, format: ExpositionFormat): string {
    const byInstrument = Map.groupBy(series, ({ instrument }) => instrument);
    const parts: string[] = [];
    for (const { instrument, formats } of this.families) {
      const list = byInstrument.get(instrument);
      if (list === undefined) continue;
      const { header } = formats[format];
      parts.push(header);
      parts.push(textOf(list, formats[format]));
    }
    parts.push(endOf(format));
    const text = parts.join("");
    this.onFormatted(text.length);
    return text;
  }

  /** The same as a gzip file. */
  async compress(
    series: Iterable<CumulativeSeries>,
    format: ExpositionFormat,
  ): Promise<Uint8Array<ArrayBuffer>> {
    // Loaded on demand, because of what zlib's module takes: not every host is scraped.
    const { gzipOf, gzipPart } = await import("./gzip-parts.ts");
    const byInstrument = Map.groupBy(series, ({ instrument }) => instrument);
    const blocksOf = new Map<InstrumentName, readonly Block[]>();
    const parts: GzipPart[] = [];
    let length = 0;
    const compressed = (formatted: string): GzipPart => {
      length += formatted.length;
      return gzipPart(formatted);
    };
    let text = "";
    for (const { instrument, formats } of this.families) {
      const list = byInstrument.get(instrument);
      if (list === undefined) continue;
      const family = formats[format];
      text += family.header;
      if (list.length <= SERIES_PER_BLOCK) {
        text += textOf(list, family);
        continue;
      }
      const blocks = blocksOf.get(instrument) ?? inBlocks(list);
      blocksOf.set(instrument, blocks);
      parts.push(compressed(text), ...compressedBlocks(blocks, family, compressed));
      text = "";
    }
    parts.push(compressed(text + endOf(format)));
    this.onFormatted(length);
    return gzipOf(parts);
  }
}

function endOf(format: ExpositionFormat): string {
  return format === "openmetrics" ? "# EOF\n" : "";
}

function textOf(list: readonly CumulativeSeries[], { lines }: FamilyFormat): string {
  return list.map((series) => seriesText(series, lines)).join("");
}

function inBlocks(list: readonly CumulativeSeries[]): readonly Block[] {
  const blocks: CumulativeSeries[][] = [];
  let block: CumulativeSeries[] = [];
  for (const series of list) {
    const isFirst = Bun.hash.crc32(series.values[0] ?? "") % SERIES_PER_BLOCK === 0;
    if (block.length === 0 || isFirst || block.length === LONGEST_BLOCK) {
      block = [];
      blocks.push(block);
    }
    block.push(series);
  }
  return blocks;
}

function compressedBlocks(
  blocks: readonly Block[],
  family: FamilyFormat,
  gzipPart: (text: string) => GzipPart,
): readonly GzipPart[] {
  const compressed = new Map<CumulativeSeries, CompressedBlock>();
  const parts: GzipPart[] = [];
  for (const series of blocks) {
    const [first] = series;
    if (first === undefined) continue;
    const known = family.blocks.get(first);
    const isSame =
      known?.series.length === series.length && known.series.every((each, i) => each === series[i]);
    const part = isSame ? known.part : gzipPart(textOf(series, family));
    compressed.set(first, { series, part });
    parts.push(part);
  }
  family.blocks = compressed;
  return parts;
}

function namesOf({ prometheus, ownName }: Instrument, names: TreeMetricNames): readonly string[] {
  if (ownName === undefined || names === "cnproc") return [prometheus];
  return names === "treewarden" ? [ownName] : [prometheus, ownName];
}

/** Base units that OpenMetrics knows, by the end of a family's name, which must agree with them. */
const units = ["seconds", "bytes"];

function familyFormat(instrument: InstrumentName, name: string, format: ExpositionFormat): FamilyFormat {
  const { kind, description } = instrumentNamed(instrument);
  // In OpenMetrics a counter's family has no `_total`; its samples do.
  const title = format === "openmetrics" ? withoutTotal(name) : name;
  const unit = units.find((each) => format === "openmetrics" && title.endsWith(`_${each}`));
  const help = `# HELP ${title} ${escapeHelp(description)}\n# TYPE ${title} ${kind}\n`;
  return {
    header: unit === undefined ? help : `${help}# UNIT ${title} ${unit}\n`,
    lines: lineFrames(instrument, name, format),
    blocks: new Map(),
  };
}

/** A frame for each of the values that `valuesOf` returns. */
function lineFrames(
  instrument: InstrumentName,
  name: string,
  format: ExpositionFormat,
): readonly LineFrame[] {
  const { kind, attributes, buckets } = instrumentNamed(instrument);
  const frame = (sample: string, label = ""): LineFrame => {
    const hasOwnLabels = attributes.length > 0;
    if (!hasOwnLabels && label === "") return { before: sample, after: " " };
    return { before: `${sample}{`, after: `${hasOwnLabels && label !== "" ? "," : ""}${label}} ` };
  };
  if (instrument === "treeProcesses") return [frame(name, 'state="RUNNING"'), frame(name, 'state="STOPPED"')];
  const created =
    format === "openmetrics" && kind !== "gauge" ? [frame(`${withoutTotal(name)}_created`)] : [];
  if (kind !== "histogram") return [frame(name), ...created];
  const bounds = [...(buckets ?? []).map(String), "+Inf"];
  const ofBuckets = bounds.map((bound) => frame(`${name}_bucket`, `le="${bound}"`));
  return [...ofBuckets, frame(`${name}_sum`), frame(`${name}_count`), ...created];
}

/** The lines of one series. Lines without a value, such as a creation time that is not known, are left out. */
function seriesText(series: CumulativeSeries, lines: readonly LineFrame[]): string {
  const labels = labelsOf(series);
  const values = valuesOf(series);
  let text = "";
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i];
    const value = values[i];
    if (line === undefined || value === undefined) continue;
    text += `${line.before}${labels}${line.after}${value}\n`;
  }
  return text;
}

function labelsOf({ instrument, values }: CumulativeSeries): string {
  const { attributes } = instrumentNamed(instrument);
  let labels = "";
  for (let i = 0; i < attributes.length; i += 1)
    labels += `${i === 0 ? "" : ","}${attributes[i]}="${escapeLabel(values[i] ?? "")}"`;
  return labels;
}

function valuesOf({ instrument, value, createdMs }: CumulativeSeries): readonly (number | undefined)[] {
  const created = createdMs === undefined ? undefined : createdMs / 1000;
  if (typeof value === "number")
    return instrument === "treeProcesses" ? [value, value === 0 ? 1 : 0] : [value, created];
  const values: (number | undefined)[] = [];
  let count = 0;
  for (const inBucket of value.counts) {
    count += inBucket;
    values.push(count);
  }
  values.push(value.sum, count, created);
  return values;
}

function withoutTotal(name: string): string {
  return name.replace(/_total$/, "");
}

/** What must be escaped in a label. Hardly any label has it. */
const SPECIAL = /[\\\n"]/;

/** Escapes backslash, newline and double quote, as both formats require. */
function escapeLabel(value: string): string {
  if (!SPECIAL.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
