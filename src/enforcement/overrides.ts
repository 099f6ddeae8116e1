// What root has ordered by hand: which rules are armed, disarmed or silenced, and whether enforcement is paused. One
// file for each kind in the state directory, which only root can write. This module reads and writes their text.
import * as v from "valibot";
import { compileTreeGlob } from "../policy/glob.ts";
import { type Moment, secondsUntil } from "../vocabulary/moment.ts";
import { parseJson } from "../vocabulary/parse-json.ts";

/** The folder in the state directory. */
export const OVERRIDES_FOLDER = "overrides";

export const overrideKinds = ["arm", "disarm", "confirm", "pause", "silence"] as const;
export type OverrideKind = (typeof overrideKinds)[number];

/** The names of the files. */
export const overrideFiles: Readonly<Record<OverrideKind, string>> = {
  arm: "armed.json",
  disarm: "disarmed.json",
  confirm: "confirmed.json",
  pause: "paused.json",
  silence: "silenced.json",
};

/** The most orders of one kind: each rule that matches is compared with those that concern it. */
export const ORDERS_LIMIT = 1_000;
/** In bytes. */
export const OVERRIDES_FILE_LIMIT = 1 << 20;
/** An order to confirm that is older, in seconds, is not carried out: what was armed since then may be meant otherwise. */
const CONFIRM_WITHIN = 600;
/** The longest time an order may last, in seconds: a leap year. */
export const LONGEST_ORDER = 366 * 86_400;

const RULE_KEY = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,1023}\/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const seconds = v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(1e12));
const uid = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0xffff_ffff));
const shortText = v.pipe(v.string(), v.minLength(1), v.maxLength(1_024));
const ruleName = v.pipe(v.string(), v.regex(RULE_KEY));

const end = v.strictObject({
  /** Seconds since 1970-01-01T00:00:00Z. */
  wall: seconds,
  /** The boot in which it was ordered (/proc/sys/kernel/random/boot_id). */
  boot: v.pipe(v.string(), v.maxLength(64)),
  /** Where it ends on CLOCK_BOOTTIME of that boot, in seconds. */
  boottime: seconds,
  /** How long it lasts, in seconds. */
  length: v.pipe(seconds, v.maxValue(LONGEST_ORDER)),
});

const common = {
  /** Unique: 16 hexadecimal digits. */
  id: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  /** Seconds since 1970-01-01T00:00:00Z. */
  since: seconds,
  /** Who ordered it: what the process of the command was. */
  by: v.strictObject({
    pid: uid,
    /** The audit login user; null if there is none, for example below cron. */
    login_user: v.nullable(uid),
    session: v.nullable(uid),
    tree: v.nullable(v.pipe(v.string(), v.maxLength(2_048))),
  }),
  reason: v.nullable(v.pipe(v.string(), v.maxLength(1_024))),
};

/** Where an order holds: null means everywhere. The unit is folded, the user is the effective one. */
const target = { rule: ruleName, unit: v.nullable(shortText), user: v.nullable(uid) };

const armOrder = v.strictObject({ ...common, ...target });
const disarmOrder = v.strictObject({
  ...common,
  /** null: all rules. */
  rule: v.nullable(ruleName),
  unit: v.nullable(shortText),
  /** What was armed again by hand since then. */
  except: v.pipe(v.array(v.strictObject(target)), v.maxLength(ORDERS_LIMIT)),
  end: v.nullable(end),
});
/** A rule that the configuration arms may act. The warden carries it out once, see `ConfirmedRules`. */
const confirmOrder = v.strictObject({
  ...common,
  rule: ruleName,
  /** The rule as it was when the order was given, see `ruleDigests`. */
  digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
});
const pauseOrder = v.strictObject({ ...common, end });
const silenceOrder = v.strictObject({
  ...common,
  /** By which `silence --end` names it. */
  number: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  rule: ruleName,
  tree: v.nullable(v.pipe(shortText, v.check(isTreeGlob))),
  unit: v.nullable(shortText),
  end,
});

const orders = {
  arm: armOrder,
  disarm: disarmOrder,
  confirm: confirmOrder,
  pause: pauseOrder,
  silence: silenceOrder,
} as const;
const version = v.literal(1);
const list = <const Order extends v.GenericSchema>(order: Order) =>
  v.strictObject({ version, orders: v.pipe(v.array(order), v.maxLength(ORDERS_LIMIT)) });
const files = {
  arm: list(orders.arm),
  disarm: list(orders.disarm),
  confirm: list(orders.confirm),
  pause: list(orders.pause),
  silence: list(orders.silence),
};

export type OrderEnd = Readonly<v.InferOutput<typeof end>>;
export type Requester = Readonly<v.InferOutput<typeof common.by>>;
export type ArmOrder = Readonly<v.InferOutput<typeof armOrder>>;
export type DisarmOrder = Readonly<v.InferOutput<typeof disarmOrder>>;
export type ConfirmOrder = Readonly<v.InferOutput<typeof confirmOrder>>;
export type PauseOrder = Readonly<v.InferOutput<typeof pauseOrder>>;
export type SilenceOrder = Readonly<v.InferOutput<typeof silenceOrder>>;
export type AnyOrder = ArmOrder | DisarmOrder | ConfirmOrder | PauseOrder | SilenceOrder;
/** A rule, and where it is concerned. */
export type ArmTarget = Readonly<Pick<ArmOrder, "rule" | "unit" | "user">>;

/** All orders in force. */
export interface Overrides {
  readonly arm: readonly ArmOrder[];
  readonly disarm: readonly DisarmOrder[];
  /** Those that no warden has carried out yet. */
  readonly confirm: readonly ConfirmOrder[];
  /** Several only if a clock that is set may end any of them last. */
  readonly pause: readonly PauseOrder[];
  readonly silence: readonly SilenceOrder[];
}

export const noOverrides: Overrides = { arm: [], disarm: [], confirm: [], pause: [], silence: [] };

function isTreeGlob(pattern: string): boolean {
  try {
    compileTreeGlob(pattern);
    return true;
  } catch {
    return false;
  }
}

/** The text of a file. */
export function formatOrders<K extends OverrideKind>(kind: K, of: Pick<Overrides, K>): string {
  return `${JSON.stringify({ version: 1, orders: of[kind] }, null, 1)}\n`;
}

/** Parses the files; undefined for one that is not valid as a whole. */
export const parseOrders: {
  readonly [K in OverrideKind]: (text: string) => Overrides[K] | undefined;
} = {
  arm: (text) => parseJson(files.arm, text)?.orders,
  disarm: (text) => parseJson(files.disarm, text)?.orders,
  confirm: (text) => parseJson(files.confirm, text)?.orders,
  pause: (text) => parseJson(files.pause, text)?.orders,
  silence: (text) => parseJson(files.silence, text)?.orders,
};

const recorded = v.strictObject({
  version,
  inForce: v.strictObject({
    arm: files.arm.entries.orders,
    disarm: files.disarm.entries.orders,
    confirm: files.confirm.entries.orders,
    pause: files.pause.entries.orders,
    silence: files.silence.entries.orders,
  }),
  ended: v.array(common.id),
});

/** What a warden has seen and recorded of the orders. */
export interface RecordedOverrides {
  readonly inForce: Overrides;
  /**
   * The ids of orders whose time is over or that are carried out, as long as their files hold them: a clock that is set
   * back revives none.
   */
  readonly ended: readonly string[];
}

/** The text of the warden's own file about the orders. */
export function formatRecorded(of: RecordedOverrides): string {
  return `${JSON.stringify({ version: 1, ...of })}\n`;
}

/** Parses such a file; undefined if it is not valid. */
export function parseRecorded(text: string): RecordedOverrides | undefined {
  const parsed = parseJson(recorded, text);
  return parsed === undefined ? undefined : { inForce: parsed.inForce, ended: parsed.ended };
}

/** The orders without those of these ids. */
export function withoutOrders(overrides: Overrides, ids: ReadonlySet<string>): Overrides {
  const isLeft = ({ id }: { readonly id: string }): boolean => !ids.has(id);
  return {
    arm: overrides.arm.filter(isLeft),
    disarm: overrides.disarm.filter(isLeft),
    confirm: overrides.confirm.filter(isLeft),
    pause: overrides.pause.filter(isLeft),
    silence: overrides.silence.filter(isLeft),
  };
}

/** All orders in one list. */
export function allOrders(overrides: Overrides): readonly AnyOrder[] {
  return overrideKinds.flatMap((kind): readonly AnyOrder[] => overrides[kind]);
}

/** The orders that have not ended, and of those to confirm the ones that may still be carried out. */
export function inForceAt(overrides: Overrides, now: Moment): Overrides {
  const isOn = ({ end: its }: { readonly end: OrderEnd | null }): boolean =>
    its === null || secondsUntil(its, now) > 0;
  return {
    ...overrides,
    disarm: overrides.disarm.filter(isOn),
    confirm: overrides.confirm.filter(({ since }) => Math.abs(now.wall - since) <= CONFIRM_WITHIN),
    pause: overrides.pause.filter(isOn),
    silence: overrides.silence.filter(isOn),
  };
}

/** Seconds until the next order ends; undefined if none does. */
export function nextEndAfter({ disarm, pause, silence }: Overrides, now: Moment): number | undefined {
  let next: number | undefined;
  for (const { end: its } of [...disarm, ...pause, ...silence]) {
    if (its === null) continue;
    const left = Math.max(0, secondsUntil(its, now));
    if (next === undefined || left < next) next = left;
  }
  return next;
}
