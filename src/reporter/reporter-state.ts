// What must outlive a reporter: how far the numbered records are written down, and every total that was ever shown.

import type { EventRecord } from "../report/event-record.ts";
import { timestamp } from "../report/stamp.ts";
import { type CumulativeSeries, CumulativeTotals } from "./cumulative-totals.ts";
import type { Batch, Journal } from "./journal.ts";

/** Names in the journal's memory. */
const POSITION = "warden";
const SINCE = "totals.since";

interface Position {
  readonly run: string;
  readonly generation: number;
  readonly last: number;
}

export interface EnterResult {
  /** What stands for numbers that never came. */
  readonly gap: EventRecord | undefined;
  readonly written: boolean;
}

export class ReporterState {
  readonly ledger = new CumulativeTotals();
  /** When this run began to count, ms since the epoch. */
  readonly since: number;
  private readonly journal: Journal;
  private readonly run: string;
  private readonly uid: (wallNs: number) => string;
  private readonly onFailure: (error: unknown) => void;
  private position: Position | undefined;

  /** `onFailure`: the journal refused. */
  constructor(
    journal: Journal,
    run: string,
    uid: (wallNs: number) => string,
    onFailure: (error: unknown) => void,
  ) {
    this.journal = journal;
    this.run = run;
    this.uid = uid;
    this.onFailure = onFailure;
    const position = parsePosition(journal.recall(POSITION));
    const since = Number(journal.recall(SINCE));
    if (position?.run === run && since > 0) {
      this.position = position;
      this.since = since;
      this.ledger.restore(journal.totals());
      return;
    }
    // Another run begins at 0, as every process's counters do.
    this.since = Date.now();
    this.attempt(() => {
      journal.forgetTotals();
      journal.remember({ [SINCE]: String(this.since) });
    });
  }

  /** The warden whose records and totals these are; undefined if none was heard yet. */
  get generation(): number | undefined {
    return this.position?.generation;
  }

  /** The last number that is in the journal; undefined if that is not known. */
  get last(): number | undefined {
    return this.position?.last;
  }

  /** A hello; true if the warden is another one than before. */
  onHello(generation: number): boolean {
    const isNew = generation !== this.position?.generation;
    this.ledger.greeted(isNew, Date.now());
    if (!isNew) return false;
    this.position = { run: this.run, generation, last: 0 };
    this.store({ [POSITION]: JSON.stringify(this.position) });
    return true;
  }

  /** Writes numbered records down that are not there yet; undefined if all of them are. */
  enter(first: number, records: readonly EventRecord[]): EnterResult | undefined {
    const { position } = this;
    if (position === undefined) return undefined;
    const known = Math.max(0, position.last + 1 - first);
    if (known >= records.length) return { gap: undefined, written: true };
    const { run, generation } = position;
    const batches: Batch[] = [{ run, generation, first: first + known, records: records.slice(known) }];
    const missing = first + known - position.last - 1;
    const gap = missing > 0 ? this.gapRecord(missing) : undefined;
    // In the place, and under the number, of the first that is missing.
    if (gap !== undefined) batches.unshift({ run, generation, first: position.last + 1, records: [gap] });
    const after: Position = { run, generation, last: first + records.length - 1 };
    const written = this.attempt(() => this.journal.append(batches, { [POSITION]: JSON.stringify(after) }));
    if (written) this.position = after;
    return { gap: written ? gap : undefined, written };
  }

  /** Every series, for whoever will see it: what was seen once is remembered first, so that it never goes back. */
  shownSeries(): readonly CumulativeSeries[] {
    const series = [...this.ledger.series(Date.now())];
    this.store({});
    return series;
  }

  /** Roles whose policies are in force, as the warden's totals name them. */
  rolesInForce(): readonly string[] {
    const series = [...this.ledger.series(Date.now())];
    return series.flatMap(({ instrument, values }) => (instrument === "policyInfo" ? (values[0] ?? []) : []));
  }

  private store(memory: Readonly<Record<string, string>>): void {
    const rows = this.ledger.takeChanged();
    if (rows.length === 0 && Object.keys(memory).length === 0) return;
    if (!this.attempt(() => this.journal.remember(memory, rows))) this.ledger.putBack(rows);
  }

  private attempt(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      this.onFailure(error);
      return false;
    }
  }

  private gapRecord(missing: number): EventRecord {
    const now = Date.now() * 1e6;
    return {
      timestamp: timestamp(now),
      "event.name": "report.gap",
      "log.record.uid": this.uid(now),
      "report.missing": missing,
    };
  }
}

function parsePosition(text: string | undefined): Position | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "null");
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (!("run" in value && "generation" in value && "last" in value)) return undefined;
  const { run, generation, last } = value;
  if (typeof run !== "string" || typeof generation !== "number" || typeof last !== "number") return undefined;
  return { run, generation, last };
}
