// Alarms as a person wants to read them: equal ones grouped, with their number.
import type { EventRecord, RecordValue } from "../report/event-record.ts";
import { isSeverity, severities } from "../vocabulary/severities.ts";

/** What all alarms of a group have in common. */
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
  /** The first one's, as a sample. */
  readonly user: string;
  readonly arguments: string;
}

/** A verdict that is no plain allow, or a tree that the baseline in force does not know. */
export function isAlarm(record: EventRecord): boolean {
  if (record["event.name"] === "policy.verdict") return record["policy.action"] !== "allow";
  return record["event.name"] === "tree.new" && record["tree.known"] === false;
}

export function alarmOf(record: EventRecord): Alarm {
  const isVerdict = record["event.name"] === "policy.verdict";
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
export function alarmKey({ what, rule, exact, tree, scope, runnable }: Alarm): string {
  return [what, rule, exact, tree, scope, runnable].join("\0");
}

/** Alarms grouped by kind. The number of kinds is bounded; alarms of further kinds are only counted. */
export class AlarmGroups {
  private readonly limit: number;
  private readonly groups = new Map<string, AlarmGroup>();
  /** Alarms altogether. */
  total = 0;
  /** Alarms whose kind was beyond the limit. */
  overLimit = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Counts a record for which `isAlarm` is true. */
  add(record: EventRecord): void {
    this.total += 1;
    const alarm = alarmOf(record);
    const key = alarmKey(alarm);
    const known = this.groups.get(key);
    const time = text(record.timestamp);
    if (known !== undefined) {
      known.count += 1;
      known.last = time;
      return;
    }
    if (this.groups.size >= this.limit) {
      this.overLimit += 1;
      return;
    }
    const args = record["process.command_args"];
    this.groups.set(key, {
      ...alarm,
      first: time,
      last: time,
      count: 1,
      user: text(record["process.user.name"] ?? record["process.user.id"]),
      arguments: Array.isArray(args) ? args.join(" ") : "-",
    });
  }

  /** The most severe first, then in the order of their first alarms. */
  list(): readonly AlarmGroup[] {
    return [...this.groups.values()].sort((a, b) => weight(b) - weight(a));
  }
}

/** -1 for what has no severity. */
function weight({ severity }: Alarm): number {
  return isSeverity(severity) ? severities.indexOf(severity) : -1;
}

function text(value: RecordValue | undefined): string {
  return value === undefined || value === null ? "-" : String(value);
}
