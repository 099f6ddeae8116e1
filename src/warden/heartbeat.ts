// The warden's regular record of itself, for those who have only a log store: that it runs, what is in force, and what
// it has counted. Where no heartbeat arrives any more, nothing else does either.
import type { EventRecord, RecordDraft } from "../report/event-record.ts";
import type { InstrumentName } from "../report/instruments.ts";
import type { VariableName } from "../vocabulary/variables.ts";
import type { WardenStatus } from "./warden-status.ts";

/** Nanoseconds between two heartbeats. */
const INTERVAL_NS = 300e9;

/** The counters in a heartbeat, each with the sum over its series since the warden's start. */
const counted = [
  ["status.count.events", "events"],
  ["status.count.verdicts", "verdicts"],
  ["status.count.unattributed", "execsUnattributed"],
  ["status.count.dropped", "queueDropped"],
  ["status.count.resyncs", "resyncs"],
] as const satisfies readonly (readonly [VariableName, InstrumentName])[];

export interface HeartbeatOptions {
  /** Nanoseconds of a clock that never goes back. */
  readonly now: number;
  readonly status: () => WardenStatus;
  /** The sum over all series of an instrument. */
  readonly sumOf: (name: InstrumentName) => number;
  readonly record: (fields: EventRecord) => void;
}

export class Heartbeat {
  private readonly options: HeartbeatOptions;
  private dueAt: number;

  constructor(options: HeartbeatOptions) {
    this.options = options;
    this.dueAt = options.now + INTERVAL_NS;
  }

  /** Nanoseconds until the next one; 0 if it is due. */
  dueIn(now: number): number {
    return Math.max(0, this.dueAt - now);
  }

  /** Records a heartbeat if one is due. After a suspension there is one, not one for each interval. */
  work(now: number): void {
    if (now < this.dueAt) return;
    this.dueAt = now + INTERVAL_NS;
    const { status, sumOf, record } = this.options;
    record({ ...describe(status()), ...counts(sumOf) });
  }
}

function describe(status: WardenStatus): EventRecord {
  const { policy, configuration, baseline, rules, enforcement, sensor } = status;
  const armed = rules.filter((rule) => rule.armed !== "nowhere").map(({ rule, armed }) => `${rule} ${armed}`);
  return {
    "sensor.source": sensor.source,
    "status.version": status.version,
    "policy.enforcement": enforcement,
    "status.may_act": status.mayAct,
    "security_rule.ruleset.name": policy.role,
    "security_rule.version": policy.version,
    "status.policy.digest": `sha256:${policy.digest}`,
    ...(configuration.digest === null ? {} : { "status.configuration.digest": configuration.digest }),
    ...(baseline?.digest == null ? {} : { "status.baseline.digest": baseline.digest }),
    "status.arming.digest": digestOfLines([enforcement, ...armed.toSorted()]),
    "status.degraded": status.degraded,
    ...(status.prevention === null ? {} : { "status.closed_processes": status.prevention.closed }),
    "status.epoch": status.epoch,
    "status.lost": status.lost,
    "status.backlog": status.backlog,
  };
}

function counts(sumOf: HeartbeatOptions["sumOf"]): EventRecord {
  const fields: RecordDraft = {};
  for (const [name, instrument] of counted) fields[name] = sumOf(instrument);
  return fields;
}

function digestOfLines(lines: readonly string[]): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(lines.join("\n")).digest("hex")}`;
}
