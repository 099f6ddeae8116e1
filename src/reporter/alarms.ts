// Groups equal alarms and counts them, for people to read.
import type { EventRecord, RecordValue } from "../report/event-record.ts";
import { isSeverity, severities } from "../vocabulary/severities.ts";

/** The values that all alarms of a group share. */
export interface Alarm {
  /** `policy.outcome`, or `new` for a tree that the baseline does not know. */
  readonly what: string;
  /** Role and rule. */
  readonly rule: string;
  readonly severity: string;
  readonly tree: string;
  readonly exact: string;
  readonly scope: string;
  readonly runnable: string;
}

export interface AlarmGroup extends Alarm {
  /** Timestamps of records. */
  readonly first: string;
  last: string;
  count: number;
  /** From the first alarm, as a sample. */
  readonly user: string;
  readonly arguments: string;
}

/** Whether a record is a verdict other than a plain allow, or a tree that the baseline in force does not know. */
export function isAlarm(record: EventRecord): boolean {
  if (isVerdictRecord(record))
    return record["policy.action"] !== "allow" && record["policy.outcome"] !== "silenced";
  return record["event.name"] === "tree.new" && record["tree.known"] === false;
}

const verdictNames: ReadonlySet<unknown> = new Set([
  "policy.verdict",
  "policy.verdict.repeated",
  "policy.verdict.unrecorded",
]);

/** Whether a record stands for one or several verdicts. */
function isVerdictRecord(record: EventRecord): boolean {
  return verdictNames.has(record["event.name"]);
}

function alarmOf(record: EventRecord): Alarm {
  const isVerdict = isVerdictRecord(record);
  return {
    what: isVerdict ? text(record["policy.outcome"]) : "new",
    rule: isVerdict
      ? `${text(record["security_rule.ruleset.name"])}/${text(record["security_rule.name"])}`
      : "tree that the baseline does not know",
    severity: text(record["policy.severity"]),
    tree: text(record["tree.path"]),
    exact: text(record["tree.exact"]),
    scope: text(record["container.image.name"] ?? record["container.id"] ?? record["process.unit"]),
    runnable: text(record["process.runnable.path"] ?? record["process.executable.path"]),
  };
}

/** Equal for alarms of one group. */
function alarmKey({ what, rule, exact, tree, scope, runnable }: Alarm): string {
  return [what, rule, exact, tree, scope, runnable].join("\0");
}

/** Alarms grouped by kind. The number of kinds is bounded; alarms of further kinds are only counted. */
export class AlarmGroups {
  private readonly limit: number;
  private readonly groups = new Map<string, AlarmGroup>();
  /** The number of all alarms. */
  total = 0;
  /** The number of alarms whose kind was beyond the limit. */
  overLimit = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Counts a record for which `isAlarm` is true. */
  add(record: EventRecord): void {
    const count = typeof record["policy.count"] === "number" ? record["policy.count"] : 1;
    this.total += count;
    const alarm = alarmOf(record);
    const key = alarmKey(alarm);
    const known = this.groups.get(key);
    const time = text(record.timestamp);
    if (known !== undefined) {
      known.count += count;
      known.last = time;
      return;
    }
    if (this.groups.size >= this.limit) {
      this.overLimit += count;
      return;
    }
    const args = record["process.command_args"];
    this.groups.set(key, {
      ...alarm,
      first: time,
      last: time,
      count,
      user: text(record["process.user.name"] ?? record["process.user.id"]),
      arguments: Array.isArray(args) ? args.join(" ") : "-",
    });
  }

  /** The most severe first, then in the order of their first alarms. */
  list(): readonly AlarmGroup[] {
    return [...this.groups.values()].sort((a, b) => weight(b) - weight(a));
  }
}

/** -1 for alarms without a severity. */
function weight({ severity }: Alarm): number {
  return isSeverity(severity) ? severities.indexOf(severity) : -1;
}

function text(value: RecordValue | undefined): string {
  return value === undefined || value === null ? "-" : String(value);
}
