// Compares what a Collector received with what treewarden journaled, record by record.
import { JournalReader } from "../../src/reporter/journal-reader.ts";
import { Alerts } from "./alerts.ts";
import type { ReceivedLog } from "./otelcol.ts";

export interface Comparison {
  /** Verdicts that the records in the journal stand for, and those of the received records. */
  readonly journaled: number;
  readonly arrived: number;
  /** Uids in the journal that never arrived, and the other way round. */
  readonly missing: readonly string[];
  readonly unknown: readonly string[];
  /** Records that arrived more than once. */
  readonly duplicates: number;
  /** Whether the first arrivals have the order of the journal. */
  readonly isInOrder: boolean;
}

export function compare(journal: string, logs: readonly ReceivedLog[]): Comparison {
  using reader = new JournalReader(journal);
  const journaled = new Map<string, number>();
  for (const { record } of reader.rows())
    if (record["security_rule.name"] === Alerts.rule)
      journaled.set(String(record["log.record.uid"]), Number(record["policy.count"]));
  const arrived = new Map<string, number>();
  const verdicts = logs.filter(({ attributes }) => attributes["security_rule.name"] === Alerts.rule);
  for (const { attributes } of verdicts)
    arrived.set(String(attributes["log.record.uid"]), Number(attributes["treewarden.policy.count"]));
  const order = [...journaled.keys()].filter((uid) => arrived.has(uid));
  return {
    journaled: sum(journaled.values()),
    arrived: sum(arrived.values()),
    missing: [...journaled.keys()].filter((uid) => !arrived.has(uid)),
    unknown: [...arrived.keys()].filter((uid) => !journaled.has(uid)),
    duplicates: verdicts.length - arrived.size,
    isInOrder: Bun.deepEquals(
      order,
      [...arrived.keys()].filter((uid) => journaled.has(uid)),
    ),
  };
}

/** How many records the journal reports as missing somewhere. */
export function reportedMissing(journal: string): number {
  using reader = new JournalReader(journal);
  return sum([...reader.rows()].map(({ record }) => Number(record["report.missing"] ?? 0)));
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0);
}
