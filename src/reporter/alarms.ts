// Alarms as a person wants to be told of them: the same one once, with how often it came.
import type { EventRecord, RecordValue } from "../report/event-record.ts";
import { isSeverity, severities } from "../vocabulary/severities.ts";

/** What is the same each time. */
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

/** Equal for alarms that are told as one. */
export function alarmKey({ what, rule, exact, tree, scope, runnable }: Alarm): string {
  return [what, rule, exact, tree, scope, runnable].join("\0");
}

/** Alarms of one kind each, bounded: further kinds are only counted. */
export class AlarmGroups {
  private readonly limit: number;
  private readonly groups = new Map<string, AlarmGroup>();
  /** Alarms altogether. */
  total = 0;
  /** Those for whose kind there was no room. */
  crowded = 0;

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
      this.crowded += 1;
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

  /** The gravest first, then in the order they came. */
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
