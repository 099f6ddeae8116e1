// What the warden and the reporter say to each other: one JSON object a packet. Either side may be taken over, so
// each parser takes any bytes; the warden acts on nothing but the four requests below.

import type { EventRecord, RecordValue } from "./event-record.ts";
import { type InstrumentName, instrumentNamed, isInstrument } from "./instruments.ts";

/** A packet is never longer. */
export const PACKET_LIMIT = 65_536;
/** A request to the warden is never longer. */
export const REQUEST_LIMIT = 512;

export interface PolicySummary {
  readonly role: string;
  readonly version: string;
  readonly digest: string;
}

/** First of all, and again after each `ready`: what follows it on the wire is whole. */
export interface Hello {
  readonly type: "hello";
  /** The run of the supervisor: while it stays, no counter goes back. */
  readonly run: string;
  /** Which start of the warden within the run: no two are the same, a later one is greater. */
  readonly generation: number;
  readonly version: string;
  /** RFC 3339. */
  readonly started: string;
  readonly source: string;
  readonly enforcement: string;
  readonly policies: readonly PolicySummary[];
}

/** Numbered records, `first`, `first` + 1 and so on. A number that never comes was dropped. */
export interface ReliableEvents {
  readonly type: "events";
  readonly generation: number;
  readonly first: number;
  readonly records: readonly EventRecord[];
}

export interface BestEffortEvents {
  readonly type: "plain";
  readonly records: readonly EventRecord[];
}

export interface HistogramValue {
  /** What each bucket alone took, the infinite one last. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Absolute value of one series; null: it is gone. `kept`: it outlives a warden that does not know it. */
export interface Change {
  readonly instrument: InstrumentName;
  readonly values: readonly string[];
  readonly value: number | HistogramValue | null;
  readonly kept: boolean;
}

export interface TotalsFrame {
  readonly type: "totals";
  readonly generation: number;
  readonly changed: readonly Change[];
  /** With this frame everything has been told since the last hello: what was not named is gone. */
  readonly whole: boolean;
}

/** All totals as of now were told before it. */
export interface Pong {
  readonly type: "pong";
  readonly id: number;
  readonly alive: boolean;
  /** Why not; empty if alive. */
  readonly reason: string;
}

export type Frame = Hello | ReliableEvents | BestEffortEvents | TotalsFrame | Pong;

/** From a reporter that starts: everything up to `last` of that warden is in its journal. */
export interface Ready {
  readonly type: "ready";
  readonly generation: number;
  readonly last: number;
}

/** Everything up to `n` is in the journal, durable. */
export interface Ack {
  readonly type: "ack";
  readonly generation: number;
  readonly n: number;
}

export interface Ping {
  readonly type: "ping";
  readonly id: number;
}

/** Somebody looks (or not) at every exec. */
export interface Watch {
  readonly type: "watch";
  readonly on: boolean;
}

export type Request = Ready | Ack | Ping | Watch;

export function formatRequest(request: Request): string {
  return JSON.stringify(request);
}

/** The warden's parser. Undefined for whatever is not exactly a request. */
export function parseRequest(bytes: Uint8Array): Request | undefined {
  if (bytes.length > REQUEST_LIMIT) return undefined;
  const value = parseObject(bytes);
  if (value === undefined) return undefined;
  switch (value.type) {
    case "ready": {
      const { generation, last } = value;
      return isCount(generation) && isCount(last) ? { type: "ready", generation, last } : undefined;
    }
    case "ack": {
      const { generation, n } = value;
      return isCount(generation) && isCount(n) ? { type: "ack", generation, n } : undefined;
    }
    case "ping": {
      const { id } = value;
      return isCount(id) ? { type: "ping", id } : undefined;
    }
    case "watch": {
      const { on } = value;
      return typeof on === "boolean" ? { type: "watch", on } : undefined;
    }
    default:
      return undefined;
  }
}

/** The reporter's parser. Undefined for whatever is not a frame; a record or change that is none is left out. */
export function parseFrame(bytes: Uint8Array): Frame | undefined {
  if (bytes.length > PACKET_LIMIT) return undefined;
  const value = parseObject(bytes);
  if (value === undefined) return undefined;
  switch (value.type) {
    case "hello":
      return parseHello(value);
    case "events": {
      const { generation, first } = value;
      const records = parseRecords(value.records);
      if (!isCount(generation) || !isCount(first) || records === undefined) return undefined;
      return { type: "events", generation, first, records };
    }
    case "plain": {
      const records = parseRecords(value.records);
      return records === undefined ? undefined : { type: "plain", records };
    }
    case "totals": {
      const { generation, whole, changed } = value;
      if (!isCount(generation) || typeof whole !== "boolean" || !Array.isArray(changed)) return undefined;
      return { type: "totals", generation, whole, changed: changed.map(parseChange).filter(isPresent) };
    }
    case "pong": {
      const { id, alive, reason } = value;
      if (!isCount(id) || typeof alive !== "boolean" || typeof reason !== "string") return undefined;
      return { type: "pong", id, alive, reason };
    }
    default:
      return undefined;
  }
}

function parseHello(value: Fields): Hello | undefined {
  const { run, generation, version, started, source, enforcement, policies } = value;
  if (typeof run !== "string" || !isCount(generation) || typeof version !== "string") return undefined;
  if (typeof started !== "string" || typeof source !== "string" || typeof enforcement !== "string")
    return undefined;
  if (!Array.isArray(policies)) return undefined;
  const summaries = policies.map(parsePolicy).filter(isPresent);
  return { type: "hello", run, generation, version, started, source, enforcement, policies: summaries };
}

function parsePolicy(value: unknown): PolicySummary | undefined {
  if (!isFields(value)) return undefined;
  const { role, version, digest } = value;
  if (typeof role !== "string" || typeof version !== "string" || typeof digest !== "string") return undefined;
  return { role, version, digest };
}

/** A record that is none becomes an empty one, so that numbers stay right. */
function parseRecords(value: unknown): readonly EventRecord[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.map((record) => (isRecord(record) ? record : {}));
}

export function isRecord(value: unknown): value is EventRecord {
  if (!isFields(value)) return false;
  for (const name in value) if (!isRecordValue(value[name])) return false;
  return true;
}

function isRecordValue(value: unknown): value is RecordValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return true;
    case "object":
      return value === null || (Array.isArray(value) && isPlainList(value));
    default:
      return false;
  }
}

function isPlainList(list: readonly unknown[]): boolean {
  const type = typeof list[0];
  if (list.length > 0 && type !== "string" && type !== "number") return false;
  return list.every((element) => typeof element === type);
}

function parseChange(value: unknown): Change | undefined {
  if (!Array.isArray(value)) return undefined;
  const [name, values, total, kept]: unknown[] = value;
  if (typeof name !== "string" || !isInstrument(name)) return undefined;
  if (!Array.isArray(values) || !values.every((each) => typeof each === "string")) return undefined;
  const instrument = instrumentNamed(name);
  if (values.length !== instrument.attributes.length) return undefined;
  if (total === null) return { instrument: name, values, value: null, kept: false };
  if (instrument.kind !== "histogram") {
    if (typeof total !== "number") return undefined;
    return { instrument: name, values, value: total, kept: kept === 1 };
  }
  const histogram = parseHistogram(total, (instrument.buckets?.length ?? 0) + 1);
  return histogram && { instrument: name, values, value: histogram, kept: kept === 1 };
}

function parseHistogram(value: unknown, length: number): HistogramValue | undefined {
  if (!isFields(value)) return undefined;
  const { counts, sum } = value;
  if (!Array.isArray(counts) || counts.length !== length || !counts.every(isCount)) return undefined;
  return typeof sum === "number" ? { counts, sum } : undefined;
}

type Fields = { readonly [name: string]: unknown };

function parseObject(bytes: Uint8Array): Fields | undefined {
  try {
    const value: unknown = JSON.parse(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"),
    );
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isPresent<T>(value: T | undefined): value is T {
  return value !== undefined;
}
