// Records of orders that begin and end. What was recorded is saved, so that neither an order that was given nor an end
// that came while no warden ran goes unrecorded, and a restart records none twice.
import { timeText } from "../baseline/baseline-file.ts";
import {
  type AnyOrder,
  formatRecorded,
  noOverrides,
  type OverrideKind,
  type Overrides,
  overrideKinds,
  type RecordedOverrides,
} from "../enforcement/overrides.ts";
import { unambiguous } from "../linux/text.ts";
import type { EventRecord, RecordDraft } from "../report/event-record.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";

/** While enforcement is paused, that is recorded again and again. */
const REMINDER_S = 900;

interface OverrideEvents {
  readonly begins: ChangeName;
  readonly ends: ChangeName;
}

/** The warden records an order to confirm when it carries it out. */
type LastingKind = Exclude<OverrideKind, "confirm">;

const events = {
  arm: { begins: "rule.armed", ends: "rule.arm_ended" },
  disarm: { begins: "rule.disarmed", ends: "rule.disarm_ended" },
  pause: { begins: "enforcement.paused", ends: "enforcement.pause_ended" },
  silence: { begins: "rule.silenced", ends: "rule.silence_ended" },
} as const satisfies Readonly<Record<LastingKind, OverrideEvents>>;
const lastingKinds = overrideKinds.filter((kind) => kind !== "confirm");

export interface OverrideRecordsInputs {
  /** What an earlier warden has saved; undefined if there is nothing, or it cannot be read. */
  readonly saved: RecordedOverrides | undefined;
  readonly save: (text: string) => void;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

export class OverrideRecords {
  private readonly inputs: OverrideRecordsInputs;
  private recorded: RecordedOverrides;
  /** Seconds of CLOCK_BOOTTIME of the last record that enforcement is paused. */
  private remindedAt = 0;

  constructor(inputs: OverrideRecordsInputs) {
    this.inputs = inputs;
    this.recorded = inputs.saved ?? { inForce: noOverrides, ended: [] };
  }

  /** The ids of orders whose time is over although their files may still hold them. */
  get ended(): readonly string[] {
    return this.recorded.ended;
  }

  /**
   * Records what began and what ended since the last call. `inForce`: the orders that hold now; `ended`: see
   * `RecordedOverrides`; `boottime`: seconds.
   */
  onOrders(inForce: Overrides, ended: readonly string[], boottime: number): void {
    let isChanged = ended.join() !== this.recorded.ended.join();
    for (const kind of lastingKinds) {
      const before: readonly AnyOrder[] = this.recorded.inForce[kind];
      const now: readonly AnyOrder[] = inForce[kind];
      for (const order of before) {
        if (now.some(({ id }) => id === order.id)) continue;
        this.record(kind, events[kind].ends, order, ended.includes(order.id) ? "time" : "order");
        isChanged = true;
      }
      for (const order of now) {
        if (before.some(({ id }) => id === order.id)) continue;
        this.record(kind, events[kind].begins, order);
        if (kind === "pause") this.remindedAt = boottime;
        isChanged = true;
      }
    }
    this.recorded = { inForce, ended };
    if (isChanged) this.inputs.save(formatRecorded(this.recorded));
  }

  /** Records again that enforcement is paused, if that is due. */
  remind(boottime: number): void {
    const [pause] = this.recorded.inForce.pause;
    if (pause === undefined || boottime - this.remindedAt < REMINDER_S) return;
    this.remindedAt = boottime;
    this.record("pause", events.pause.begins, pause);
  }

  private record(kind: LastingKind, event: ChangeName, order: AnyOrder, ended?: "time" | "order"): void {
    this.inputs.recordChange(event, {
      ...(kind === "pause" ? { "policy.severity": "high" } : {}),
      ...(ended === undefined ? {} : { "override.ended_by": ended }),
      ...orderFields(order),
    });
  }
}

/** The fields of a record about an order. */
export function orderFields(order: AnyOrder): EventRecord {
  const record: RecordDraft = {};
  if ("rule" in order) record["override.rule"] = order.rule ?? "all";
  if ("unit" in order && order.unit !== null) record["override.unit"] = unambiguous(order.unit);
  if ("user" in order && order.user !== null) record["override.user.id"] = order.user;
  if ("tree" in order && order.tree !== null) record["override.tree"] = unambiguous(order.tree);
  if ("number" in order) record["override.number"] = order.number;
  record["override.since"] = timeText(order.since);
  if ("end" in order && order.end !== null) record["override.until"] = timeText(order.end.wall);
  if (order.reason !== null) record["override.reason"] = unambiguous(order.reason);
  record["override.by.pid"] = order.by.pid;
  record["override.by.login_user.id"] = order.by.login_user;
  record["override.by.session_id"] = order.by.session;
  if (order.by.tree !== null) record["override.by.tree"] = unambiguous(order.by.tree);
  return record;
}
