// What a client of the endpoint accepts: the format of the metrics, and whether they may be compressed (RFC 9110, 12.5).
import type { ExpositionFormat } from "./exposition.ts";

/** One element of an Accept or Accept-Encoding header. */
interface Accepted {
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** From 0, not acceptable, to 1. */
  readonly weight: number;
}

/** The most elements of a header that are read; Prometheus sends five. */
const ELEMENTS = 32;

/** The format for an `Accept` header: OpenMetrics if the client prefers it to Prometheus's own text. */
export function formatFor(header: string | null): ExpositionFormat {
  const accepted = elementsOf(header);
  const isOpenMetrics = ({ name, parameters }: Accepted): boolean =>
    name === "application/openmetrics-text" && (parameters.version ?? "1.0.0") === "1.0.0";
  const isText = ({ name }: Accepted): boolean => ["text/plain", "text/*", "*/*"].includes(name);
  const openMetrics = weightOf(accepted.filter(isOpenMetrics));
  return openMetrics > 0 && openMetrics >= weightOf(accepted.filter(isText)) ? "openmetrics" : "prometheus";
}

/** Whether an `Accept-Encoding` header allows gzip. */
export function acceptsGzip(header: string | null): boolean {
  const accepted = elementsOf(header);
  const named = accepted.filter(({ name }) => name === "gzip" || name === "x-gzip");
  return weightOf(named.length > 0 ? named : accepted.filter(({ name }) => name === "*")) > 0;
}

function weightOf(accepted: readonly Accepted[]): number {
  return Math.max(0, ...accepted.map(({ weight }) => weight));
}

function elementsOf(header: string | null): readonly Accepted[] {
  const elements = header?.split(",", ELEMENTS) ?? [];
  return elements.map((element) => {
    const [name = "", ...pairs] = element.split(";").map((part) => part.trim().toLowerCase());
    const parameters = Object.fromEntries(pairs.map((pair) => pair.split("=", 2).map((part) => part.trim())));
    const weight = Number(parameters.q ?? 1);
    return { name, parameters, weight: weight >= 0 && weight <= 1 ? weight : 0 };
  });
}
