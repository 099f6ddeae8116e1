// What an output is: a place outside this process to which records or metrics go. outputs.ts lists them all.
import type { EventRecord } from "../report/event-record.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";
import type { ReporterOptions } from "./reporter-options.ts";

/** What became of one delivery. */
export type Delivery =
  | { readonly outcome: "delivered" }
  /**
   * `failed`: the same records are delivered again later. `rejected`: they will never be accepted; they are dropped and
   * counted. `too large`: fewer of them are delivered next.
   */
  | { readonly outcome: "failed" | "rejected" | "too large"; readonly why: string };

/** Records for one delivery. */
export interface Batch {
  /** Accepted and redacted, oldest first. Read from the journal page by page, so that a large batch needs little memory. */
  readonly records: AsyncIterable<EventRecord>;
  /** Rows of the journal that were passed over because `maxRows` was reached; known when `records` has ended. */
  readonly passedOver: number;
}

/** When a journal output gets its batches, and how large they are. */
export interface Pacing {
  /** Records gather this long before a delivery, ms. */
  readonly gatherMs: number;
  /** At least this long between two deliveries or attempts, also over a restart, ms. */
  readonly intervalMs: number;
  /** Rows of the journal that one batch covers, accepted or not. */
  readonly maxRows: number;
  /** Their JSON together; about, and a single row may be longer. */
  readonly maxBytes: number;
  /** Whether the rows beyond these bounds are the next batch, or are never delivered. */
  readonly rest: "next batch" | "passed over";
  /** Whether what waits is delivered when the reporter ends; else it waits for the next start. */
  readonly deliversAtEnd: boolean;
}

/** Gets every reliable record that it accepts from the journal, in order, until it has taken it. See journal-cursor.ts. */
export interface JournalOutput<Signal extends string = string> {
  /** Under which its failures count. */
  readonly signal: Signal;
  /** Under which the journal remembers how far it got: never changes. */
  readonly position: string;
  readonly pacing: Pacing;
  readonly accepts: (record: EventRecord) => boolean;
  /** Whether it also takes best-effort records, which come with the others and may be dropped. */
  readonly takesBestEffort: boolean;
  /** Delivers all records of the batch. Never rejects, and answers in bounded time. */
  readonly deliver: (batch: Batch) => Promise<Delivery>;
}

/** Gets each record once, at the moment it arrives, even while the journal cannot be written. */
export interface LiveOutput {
  /** Whether it also takes best-effort records. */
  readonly takesBestEffort: boolean;
  /** Never blocks; a record for which there is no room is dropped and counted. */
  readonly write: (record: EventRecord) => void;
  /** Writes what can be written at once. */
  readonly end: () => void;
}

/** Gets all series at an interval. */
export interface MetricsOutput<Signal extends string = string> {
  /** Under which its failures count. */
  readonly signal: Signal;
  readonly intervalMs: number;
  /** `nowMs`: milliseconds since the epoch. Never rejects, and answers in bounded time. */
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
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** When this run began to count, milliseconds since the epoch. */
  readonly startedMs: number;
  /** Roles whose policies are in force now. */
  readonly rolesInForce: () => readonly string[];
  /** A reporter of this run has written to the outputs before. */
  readonly continuesRun: boolean;
  /** Logs something that an administrator should know. */
  readonly warn: (message: string) => void;
  /** A live output dropped this many records. */
  readonly onDrop: (count: number) => void;
}

/** A row of the table of outputs. */
export interface OutputKind<Signal extends string = string> {
  /** As messages name it. */
  readonly name: string;
  /** Values of `signal` in treewarden_export_failures_total, each with what it is that failed ("export logs over OTLP"). */
  readonly signals: Readonly<Record<Signal, string>>;
  /** The value of `queue` in treewarden_queue_dropped_total for records that never reach it. */
  readonly queue: string;
  /** Undefined if the configuration does not ask for it. What it throws says why it cannot be had, and it stays off. */
  readonly open: (
    context: OutputContext,
  ) => OpenOutput<Signal> | undefined | Promise<OpenOutput<Signal> | undefined>;
}
