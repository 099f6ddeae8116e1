// The kinds of values that OpenTelemetry's variables have. A parser answers undefined for a text that it does not
// understand, which is an error: no such text is replaced by a default.
import { eitherOf } from "../vocabulary/error-text.ts";

export interface ValueType<T> {
  /** Follows "must be" in error messages and stands in the manual. */
  readonly mustBe: string;
  readonly parse: (text: string) => T | undefined;
  /** The value may hold a password or a token, so no message shows it. */
  readonly secret?: true;
}

/** Pairs of a name and a value. */
type Pairs = Readonly<Record<string, string>>;

/** A day. */
const LONGEST_MS = 86_400_000;

/** Headers that the sender sets by itself. */
const reservedHeaders: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "host",
  "transfer-encoding",
]);

export const endpointUrl: ValueType<string> = {
  mustBe: "a URL that begins with http:// or https://",
  secret: true,
  parse: (text) => (/^https?:\/\//i.test(text) && URL.canParse(text) ? text : undefined),
};

export const headerPairs: ValueType<Pairs> = {
  mustBe: "pairs NAME=VALUE of HTTP headers, separated by commas, the values percent-encoded",
  secret: true,
  parse(text) {
    const headers = decodePairs(text);
    const isValid = Object.entries(headers ?? {}).every(([name, value]) => isHeader(name, value));
    return isValid ? headers : undefined;
  },
};

export const attributePairs: ValueType<Pairs> = {
  mustBe: "pairs NAME=VALUE, separated by commas, the values percent-encoded",
  secret: true,
  parse: decodePairs,
};

export const anyText: ValueType<string> = { mustBe: "any text", parse: (text) => text };
export const filePath: ValueType<string> = { mustBe: "the path of a file in PEM", parse: (text) => text };

export const duration = wholeNumber(1, LONGEST_MS, " milliseconds");
export const delay = wholeNumber(0, LONGEST_MS, " milliseconds");
/** A number of attributes, or of characters. */
export const limitNumber = wholeNumber(0, 1_000_000);
export const batchSize = wholeNumber(1, 10_000);

export const protocolName = oneOfNames(
  ["http/protobuf", "http/json"],
  " (gRPC is not supported; the collector's port for HTTP is usually 4318)",
);
export const compressionName = oneOfNames(["gzip", "none"]);
export const temporalityName = oneOfNames(
  ["cumulative"],
  " (the Collector's cumulativetodelta processor makes deltas of it)",
);
export const histogramName = oneOfNames(["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]);

export const truth: ValueType<boolean> = {
  mustBe: "true or false",
  parse(text) {
    const name = text.toLowerCase();
    return name === "true" ? true : name === "false" ? false : undefined;
  },
};

/** A list of exporters; its value is whether OTLP is one of them. `others`: the names of other exporters. */
export function exporterNames(...others: readonly string[]): ValueType<boolean> {
  const known = ["otlp", ...others];
  return {
    mustBe: others.length === 0 ? "otlp or none" : `none, or a list of ${eitherOf(known)}`,
    parse(text) {
      const names = text.split(",").map((name) => name.trim().toLowerCase());
      if (names.length === 1 && names[0] === "none") return false;
      return names.every((name) => known.includes(name)) ? names.includes("otlp") : undefined;
    },
  };
}

/** The specification wants names to be understood in any case. */
function oneOfNames<const T extends readonly string[]>(names: T, note = ""): ValueType<T[number]> {
  return {
    mustBe: `${eitherOf(names)}${note}`,
    parse: (text) => names.find((name) => name === text.toLowerCase()),
  };
}

function wholeNumber(low: number, high: number, unit = ""): ValueType<number> {
  return {
    mustBe: `a whole number from ${low} to ${high}${unit}`,
    parse(text) {
      const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return number >= low && number <= high ? number : undefined;
    },
  };
}

/**
 * The format of W3C Baggage without properties, which the specification prescribes for headers and attributes.
 * Undefined if a pair has no name or no `=`, or a value cannot be decoded.
 */
function decodePairs(text: string): Pairs | undefined {
  const pairs = new Map<string, string>();
  for (const pair of text.split(",")) {
    if (pair.trim() === "") continue;
    const sign = pair.indexOf("=");
    const name = pair.slice(0, sign).trim();
    const value = decoded(pair.slice(sign + 1).trim());
    if (sign < 0 || name === "" || value === undefined) return undefined;
    pairs.set(name, value);
  }
  return Object.fromEntries(pairs);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Whether HTTP allows the header (RFC 9110, 5.1 and 5.5), and the sender does not set it by itself. */
function isHeader(name: string, value: string): boolean {
  if (reservedHeaders.has(name.toLowerCase())) return false;
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}
