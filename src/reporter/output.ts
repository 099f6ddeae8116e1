// The interfaces of outputs: destinations outside this process for records or metrics. outputs.ts lists them.
import type { EventRecord } from "../report/event-record.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { PolicyDigests } from "./policy-digests.ts";
import type { ReporterOptions } from "./reporter-options.ts";

/** The result of a delivery. */
export type Delivery =
  | {
      readonly outcome: "delivered";
      /** Set if the destination took the batch but for some records, which must not be sent again, or has a warning. */
      readonly partial?: { readonly rejected: number; readonly why: string };
    }
  /** The same records are retried later. `retryAfterMs`: not before this time, which the destination demands. */
  | { readonly outcome: "failed"; readonly why: string; readonly retryAfterMs?: number }
  /**
   * `rejected`: at least one of the records is refused, or all are. `too large`: fewer of them may be accepted. Each
   * record is then tried alone if need be.
   */
  | { readonly outcome: "rejected" | "too large"; readonly why: string };

/** Records for one delivery. */
export interface Batch {
  /**
   * Accepted, redacted records, oldest first. They are read page by page, so that a large batch needs little memory.
   */
  readonly records: AsyncIterable<EventRecord>;
  /** The rows that were passed over because of `maxRows`; known when `records` has ended. */
  readonly passedOver: number;
}

/** The timing and size of the batches of a journal output. */
export interface Pacing {
  /** The time to gather records before a delivery, ms. */
  readonly gatherMs: number;
  /** The shortest time between two deliveries or attempts, also across a restart, ms. */
  readonly intervalMs: number;
  /** The most rows of the journal in a batch, accepted or not. */
  readonly maxRows: number;
  /** The approximate limit of their JSON together; a single row may be longer. */
  readonly maxBytes: number;
  /** Whether rows beyond these limits form the next batch or are never delivered. */
  readonly rest: "next batch" | "passed over";
  /** Whether waiting records are delivered at shutdown; otherwise they wait for the next start. */
  readonly deliversAtEnd: boolean;
}

/** Gets every reliable record that it accepts from the journal, in order, with retries. See journal-cursor.ts. */
export interface JournalOutput<Signal extends string = string> {
  /** The label under which its failures count. */
  readonly signal: Signal;
  /** The name under which the journal stores its position. It must never change. */
  readonly position: string;
  readonly pacing: Pacing;
  readonly accepts: (record: EventRecord) => boolean;
  /** Whether it also takes best-effort records, which may be dropped. */
  readonly takesBestEffort: boolean;
  /** Delivers all records of the batch. Never rejects, and resolves in bounded time. */
  readonly deliver: (batch: Batch) => Promise<Delivery>;
}

/** Gets each record once, on arrival, even while the journal cannot be written. */
export interface LiveOutput {
  /** Whether it also takes best-effort records. */
  readonly takesBestEffort: boolean;
  /** Never blocks. A record without room is dropped and counted. */
  readonly write: (record: EventRecord) => void;
  /** Writes what is left. Resolves after at most `ms`, even if nobody takes it. */
  readonly end: (ms: number) => Promise<void>;
}

/** Gets all series at an interval. */
export interface MetricsOutput<Signal extends string = string> {
  /** The label under which its failures count. */
  readonly signal: Signal;
  readonly intervalMs: number;
  /** `nowMs`: milliseconds since the epoch. Never rejects, and resolves in bounded time. */
  readonly export: (series: Iterable<CumulativeSeries>, nowMs: number) => Promise<Delivery>;
}

/** An output in use; one that takes records and metrics has both parts. */
export interface OpenOutput<Signal extends string = string> {
  readonly journal?: JournalOutput<Signal>;
  readonly live?: LiveOutput;
  readonly metrics?: MetricsOutput<Signal>;
}

export interface OutputContext {
  readonly options: ReporterOptions;
  /** The time when this run started counting, milliseconds since the epoch. */
  readonly startedMs: number;
  /** Roles and digests of what is in force now. Goes through all series. */
  readonly inForce: () => PolicyDigests;
  /** Whether an earlier reporter of this run may have written to the outputs. */
  readonly followsAnother: boolean;
  /** Logs something that an administrator should know. */
  readonly warn: (message: string) => void;
  /** To be called when a live output dropped this many records. */
  readonly onDrop: (count: number) => void;
}

/** A row of the table of outputs. */
export interface OutputKind<Signal extends string = string> {
  /** The name in messages. */
  readonly name: string;
  /**
   * Values of `signal` in treewarden_export_failures_total, each with what it is that failed ("export logs over OTLP").
   */
  readonly signals: Readonly<Record<Signal, string>>;
  /** The value of `queue` in treewarden_queue_dropped_total for records that never reach it. */
  readonly queue: string;
  /** Undefined if the output is not configured. Throws if its settings cannot be used; the output then stays off. */
  readonly open: (
    context: OutputContext,
  ) => OpenOutput<Signal> | undefined | Promise<OpenOutput<Signal> | undefined>;
}
