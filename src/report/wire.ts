// What warden and reporter send each other: one JSON object a packet (SOCK_SEQPACKET). Either side may be taken over,
// so each parser takes any bytes; the warden acts on nothing but the four requests below.
import * as v from "valibot";
import { type LearnedUpdate, parseLearnedUpdate } from "../baseline/learned.ts";
import { type EventRecord, isEventRecord } from "./event-record.ts";
import { type InstrumentName, instrumentNamed, isInstrument } from "./instruments.ts";

/** Bytes of the longest packet. */
export const PACKET_LIMIT = 65_536;
/** Bytes of the longest request to the warden. */
export const REQUEST_LIMIT = 512;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const list = v.custom<readonly unknown[]>(Array.isArray);

// From the warden: frames.

/** The first frame of a connection, and again the answer to each `ready`: what follows it on the wire is complete. */
const Hello = v.object({
  type: v.literal("hello"),
  /** The supervisor's run: while it stays the same, no counter goes back. */
  run: v.string(),
  /** Which warden of the run: every start has another number, a later start a greater one. */
  generation: count,
  version: v.string(),
  /** RFC 3339. */
  started: v.string(),
  source: v.string(),
  enforcement: v.string(),
  /** The roles whose policies are in force. */
  policies: v.array(v.object({ role: v.string(), version: v.string(), digest: v.string() })),
});

/**
 * Reliable records of events. The first has the number `first`, the others follow it one by one. Frames of both reliable
 * kinds share one sequence of numbers, from 1 for each generation; a number that never comes was dropped.
 */
const ReliableEvents = v.object({
  type: v.literal("events"),
  generation: count,
  first: count,
  records: v.pipe(list, v.transform(recordsOf)),
});

/** Reliable reports of what is learned, numbered as above. Null stands for one that is malformed. */
const LearnedFrame = v.object({
  type: v.literal("learned"),
  generation: count,
  first: count,
  updates: v.pipe(
    list,
    v.transform((updates): (LearnedUpdate | null)[] =>
      updates.map((update) => parseLearnedUpdate(update) ?? null),
    ),
  ),
});

/** Records that are neither numbered nor sent again. */
const BestEffortEvents = v.object({
  type: v.literal("best-effort"),
  records: v.pipe(list, v.transform(recordsOf)),
});

/** Totals that have changed; all of them after a hello. */
const TotalsFrame = v.object({
  type: v.literal("totals"),
  generation: count,
  changed: v.pipe(list, v.transform(changesOf)),
  /** This frame completes what began with the last hello: a series that no frame since then has named is gone. */
  whole: v.boolean(),
});

/** The answer to a ping, behind all totals of that moment. */
const Pong = v.object({
  type: v.literal("pong"),
  id: count,
  alive: v.boolean(),
  /** Why not; empty if alive. */
  reason: v.string(),
});

const Frame = v.variant("type", [Hello, ReliableEvents, LearnedFrame, BestEffortEvents, TotalsFrame, Pong]);

export type Hello = Readonly<v.InferOutput<typeof Hello>>;
export type ReliableEvents = Readonly<v.InferOutput<typeof ReliableEvents>>;
export type LearnedFrame = Readonly<v.InferOutput<typeof LearnedFrame>>;
export type Pong = Readonly<v.InferOutput<typeof Pong>>;
export type Frame = Readonly<v.InferOutput<typeof Frame>>;

/** A histogram's absolute value. */
export interface HistogramValue {
  /** How many observations each bucket alone took, in the order of the instrument's `buckets`, the infinite one last. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** The absolute value of one series. On the wire it is the list [instrument, values, value] or [..., 1] if kept. */
export interface SeriesChange {
  readonly instrument: InstrumentName;
  /** One for each of the instrument's `attributes`, in their order: ["exec"] for `events`, ["/cron/base"] for a tree. */
  readonly values: readonly string[];
  /** Null: the series is gone. */
  readonly value: number | HistogramValue | null;
  /** The series outlives a warden whose successor does not name it. */
  readonly kept: boolean;
}

// From the reporter: requests.

const Request = v.variant("type", [
  /** A reporter has started: everything up to the number `last` of that generation is in its journal. */
  v.strictObject({ type: v.literal("ready"), generation: count, last: count }),
  /** Everything up to the number `n` is in the journal and durable. */
  v.strictObject({ type: v.literal("ack"), generation: count, n: count }),
  /** Asks for all totals and a pong with the same id. */
  v.strictObject({ type: v.literal("ping"), id: count }),
  /** Whether best-effort records are wanted. */
  v.strictObject({ type: v.literal("watch"), on: v.boolean() }),
]);
export type Request = Readonly<v.InferOutput<typeof Request>>;

export function formatRequest(request: Request): string {
  return JSON.stringify(request);
}

/** The warden's parser. Undefined for anything that is not exactly a request. */
export function parseRequest(bytes: Uint8Array): Request | undefined {
  return bytes.length > REQUEST_LIMIT ? undefined : parse(Request, bytes);
}

/** The reporter's parser. Undefined for anything that is not a frame; a malformed change is left out. */
export function parseFrame(bytes: Uint8Array): Frame | undefined {
  return bytes.length > PACKET_LIMIT ? undefined : parse(Frame, bytes);
}

function parse<T>(schema: v.GenericSchema<unknown, T>, bytes: Uint8Array): T | undefined {
  try {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}

// Records and changes come by the hundred a second and are checked by hand: a record takes 0.6 us so and 6.3 us as a
// schema, a change 0.15 us and 1 us.

/** A malformed record becomes an empty one, so that the numbers of the others stay right. */
function recordsOf(values: readonly unknown[]): readonly EventRecord[] {
  return values.map((value) => (isEventRecord(value) ? value : {}));
}

function changesOf(values: readonly unknown[]): readonly SeriesChange[] {
  return values.map(changeOf).filter((change) => change !== undefined);
}

function changeOf(value: unknown): SeriesChange | undefined {
  if (!Array.isArray(value)) return undefined;
  const [name, values, total, kept]: unknown[] = value;
  if (typeof name !== "string" || !isInstrument(name)) return undefined;
  if (!Array.isArray(values) || !values.every((text) => typeof text === "string")) return undefined;
  const instrument = instrumentNamed(name);
  if (values.length !== instrument.attributes.length) return undefined;
  if (total === null) return { instrument: name, values, value: null, kept: false };
  if (!isSeriesValue(name, total)) return undefined;
  return { instrument: name, values, value: total, kept: kept === 1 };
}

/** Whether `value` is an absolute value of that instrument: a number, or a histogram with its buckets. */
export function isSeriesValue(name: InstrumentName, value: unknown): value is number | HistogramValue {
  const { kind, buckets } = instrumentNamed(name);
  if (kind !== "histogram") return typeof value === "number";
  if (typeof value !== "object" || value === null || !("counts" in value && "sum" in value)) return false;
  const { counts, sum } = value;
  if (!Array.isArray(counts) || counts.length !== (buckets?.length ?? 0) + 1) return false;
  return typeof sum === "number" && counts.every((each) => Number.isSafeInteger(each) && each >= 0);
}
