// Compares how many verdicts the wardens of a run have counted with how many their records stand for. A warden that is
// killed takes counts of repeated verdicts with it, up to a minute of them, but hardly any of its counters.
import * as v from "valibot";
import type { EventRecord } from "../report/event-record.ts";
import { type AttributesOf, instruments } from "../report/instruments.ts";
import type { CumulativeSeries } from "./cumulative-totals.ts";

/** Verdicts that share all attributes of their counter. */
export interface VerdictCount {
  /** In the order of the counter's `attributes`. */
  readonly values: readonly string[];
  readonly count: number;
}

export interface VerdictComparison {
  /** Verdicts that were counted, and for which no record stands. */
  readonly unrecorded: readonly VerdictCount[];
  /** Verdicts with a record, which were not counted: the counter's last change did not arrive. */
  readonly uncounted: readonly VerdictCount[];
}

type VerdictAttribute = keyof AttributesOf<"verdicts">;

/** The fields of a verdict's record that are its counter's attributes. */
const fieldOf: Readonly<Record<VerdictAttribute, keyof EventRecord>> = {
  role: "security_rule.ruleset.name",
  rule: "security_rule.name",
  action: "policy.action",
  outcome: "policy.outcome",
  severity: "policy.severity",
};
const attributes: readonly VerdictAttribute[] = instruments.verdicts.attributes;
const OUTCOME = attributes.indexOf("outcome");

/** Names in the journal's memory: of the run whose records are counted, and before each of its counts. */
export const RECORDED_RUN = "verdicts.recorded";
export const RECORDED_COUNT = "verdicts.recorded ";

const Values = v.pipe(v.string(), v.parseJson(), v.array(v.string()), v.length(attributes.length));

const nothing: VerdictComparison = { unrecorded: [], uncounted: [] };

/** The attributes of a verdict's record as fields of it. */
export function verdictFields(values: readonly string[]): EventRecord {
  return Object.fromEntries(attributes.map((name, i) => [fieldOf[name], values[i] ?? ""]));
}

export class RecordedVerdicts {
  private readonly run: string;
  private readonly counts = new Map<string, VerdictCount>();
  private readonly changed = new Set<string>();
  /** Whether all records of the run were counted. */
  private isComplete: boolean;
  /** The file that has the counts, see `Journal.replacements`; undefined if none has all of them. */
  private file: number | undefined;

  /** `isComplete`: false if records of the run may be missing in `counts`, because they were lost with the journal. */
  constructor(run: string, counts: ReadonlyMap<string, string>, isComplete: boolean) {
    this.run = run;
    this.isComplete = isComplete;
    for (const [text, count] of counts) {
      const values = v.safeParse(Values, text);
      if (values.success && Number(count) > 0) this.set(values.output, Number(count));
    }
    this.changed.clear();
  }

  /** Counts the verdicts of records that were taken for the first time. */
  add(records: readonly EventRecord[]): void {
    let values: readonly string[] = [];
    let sum = 0;
    // Most records follow others of the same rule.
    for (const record of records) {
      const count = record["policy.count"];
      if (typeof count !== "number" || !(count > 0)) continue;
      if (!isOf(record, values)) {
        if (sum > 0) this.set(values, this.countOf(values) + sum);
        values = attributes.map((name) => attributeOf(record, name));
        sum = 0;
      }
      sum += count;
    }
    if (sum > 0) this.set(values, this.countOf(values) + sum);
  }

  /** What the journal must remember together with those records. `file`: its number, see `Journal.replacements`. */
  takeChanged(file: number): Readonly<Record<string, string>> {
    const keys = this.file === file ? this.changed : this.counts.keys();
    const memory: Record<string, string> = {};
    for (const key of keys) memory[RECORDED_COUNT + key] = String(this.counts.get(key)?.count);
    if (this.file !== file && this.isComplete) memory[RECORDED_RUN] = this.run;
    this.file = file;
    this.changed.clear();
    return memory;
  }

  /**
   * To be called when a warden has ended, with all series. What is returned counts as recorded and as counted from then
   * on.
   */
  compare(series: Iterable<CumulativeSeries>): VerdictComparison {
    const counted = new Map<string, VerdictCount>();
    for (const { instrument, values, value } of series)
      if (instrument === "verdicts" && values[OUTCOME] !== "allowed" && typeof value === "number")
        counted.set(keyOf(values), { values, count: value });
    // Beyond the limit of series the counters do not tell verdicts apart.
    if (counted.has(OVERFLOW)) this.isComplete = false;
    if (!this.isComplete) {
      for (const { values, count } of counted.values()) this.set(values, count);
      this.isComplete = !counted.has(OVERFLOW);
      this.file = undefined;
      return nothing;
    }
    const unrecorded = differences(counted, this.counts);
    const uncounted = differences(this.counts, counted);
    for (const { values, count } of unrecorded) this.set(values, this.countOf(values) + count);
    return { unrecorded, uncounted };
  }

  private countOf(values: readonly string[]): number {
    return this.counts.get(keyOf(values))?.count ?? 0;
  }

  private set(values: readonly string[], count: number): void {
    const key = keyOf(values);
    if (this.counts.get(key)?.count === count) return;
    this.counts.set(key, { values, count });
    this.changed.add(key);
  }
}

function attributeOf(record: EventRecord, name: VerdictAttribute): string {
  return String(record[fieldOf[name]] ?? "");
}

/** Whether these are the record's values of `attributes`. */
function isOf(record: EventRecord, values: readonly string[]): boolean {
  return values.length > 0 && attributes.every((name, i) => attributeOf(record, name) === values[i]);
}

function keyOf(values: readonly string[]): string {
  return JSON.stringify(values);
}

/** The series of further ones beyond the limit: see `Totals.find`. */
const OVERFLOW = keyOf(attributes.map(() => "overflow"));

/** By how much the counts of `larger` exceed those of `smaller`, where they do. */
function differences(
  larger: ReadonlyMap<string, VerdictCount>,
  smaller: ReadonlyMap<string, VerdictCount>,
): readonly VerdictCount[] {
  return [...larger].flatMap(([key, { values, count }]) => {
    const excess = count - (smaller.get(key)?.count ?? 0);
    return excess > 0 ? [{ values, count: excess }] : [];
  });
}
