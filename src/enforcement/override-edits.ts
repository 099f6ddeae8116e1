// How a command of root's changes the orders in force. Less always wins: a new order to disarm or to pause never shortens
// one that is in force, and nothing but an order to arm ends one to disarm before its time.

import { isNoEarlier, type Moment } from "../vocabulary/moment.ts";
import type {
  ArmOrder,
  ArmTarget,
  DisarmOrder,
  OrderEnd,
  Overrides,
  PauseOrder,
  SilenceOrder,
} from "./overrides.ts";

/** Arms a rule: adds the order, and takes its target out of every order to disarm. */
export function withArmed(overrides: Overrides, order: ArmOrder): Overrides {
  const { rule, unit, user } = order;
  const target: ArmTarget = { rule, unit, user };
  const arm = [...overrides.arm.filter((other) => !isSameTarget(other, target)), order];
  const disarm = overrides.disarm.flatMap((other) => rearmed(other, target));
  return { ...overrides, arm, disarm };
}

/**
 * Takes back an order to arm: what the configuration says holds again. Orders to disarm that did not hold for its target
 * hold for it again.
 */
export function withoutArmed(overrides: Overrides, target: ArmTarget): Overrides {
  return {
    ...overrides,
    arm: overrides.arm.filter((other) => !isSameTarget(other, target)),
    disarm: overrides.disarm.map((order) => ({
      ...order,
      except: order.except.filter((other) => !isSameTarget(other, target)),
    })),
  };
}

/** What is left of an order to disarm once `target` is armed by hand. */
function rearmed(order: DisarmOrder, target: ArmTarget): readonly DisarmOrder[] {
  if (order.rule !== null && order.rule !== target.rule) return [order];
  if (order.unit !== null && target.unit !== null && order.unit !== target.unit) return [order];
  const isWhole = order.rule !== null && target.user === null && (target.unit ?? order.unit) === order.unit;
  if (isWhole) return [];
  if (order.except.some((other) => isSameTarget(other, target))) return [order];
  return [{ ...order, except: [...order.except, target] }];
}

/**
 * Disarms a rule or all of them. Orders to arm by hand that it covers for good are forgotten; those that it covers for a
 * time hold again afterwards.
 */
export function withDisarmed(overrides: Overrides, order: DisarmOrder, now: Moment): Overrides {
  const isForGood = order.end === null;
  const arm = isForGood ? overrides.arm.filter((armed) => !covers(order, armed)) : overrides.arm;
  const concernsSame = (other: DisarmOrder): boolean =>
    other.rule === order.rule && other.unit === order.unit;
  const isWhole = (other: DisarmOrder): boolean => other.except.length === 0;
  return { ...overrides, arm, disarm: withLonger(overrides.disarm, order, now, concernsSame, isWhole) };
}

/** Pauses enforcement. Of several pauses all are kept of which any may end last. */
export function withPause(overrides: Overrides, order: PauseOrder, now: Moment): Overrides {
  return { ...overrides, pause: withLonger(overrides.pause, order, now, () => true) };
}

/**
 * Adds `order`, unless one that concerns the same and is whole ends no earlier, and drops those that end no later than
 * it. Both clocks must agree on that: of two orders with ten seconds left, a clock that is set may end either one first.
 */
function withLonger<Order extends DisarmOrder | PauseOrder>(
  orders: readonly Order[],
  order: Order,
  now: Moment,
  concernsSame: (other: Order) => boolean,
  isWhole: (other: Order) => boolean = () => true,
): readonly Order[] {
  const isCovered = orders.some(
    (other) => concernsSame(other) && isWhole(other) && outlasts(other.end, order.end, now),
  );
  if (isCovered) return orders;
  return [...orders.filter((other) => !concernsSame(other) || !outlasts(order.end, other.end, now)), order];
}

export function withSilence(overrides: Overrides, order: SilenceOrder): Overrides {
  return { ...overrides, silence: [...overrides.silence, order] };
}

/** The number of the next silence: none that is in force has it. */
export function nextNumber({ silence }: Overrides): number {
  return silence.reduce((largest, { number }) => Math.max(largest, number), 0) + 1;
}

/** Whether whatever `target` arms is disarmed by `order`. */
function covers(order: DisarmOrder, target: ArmTarget): boolean {
  const isRule = order.rule === null || order.rule === target.rule;
  return isRule && (order.unit === null || order.unit === target.unit);
}

/** Whether `a` ends no earlier than `b`; null: it has no end. */
function outlasts(a: OrderEnd | null, b: OrderEnd | null, now: Moment): boolean {
  return a === null || (b !== null && isNoEarlier(a, b, now));
}

function isSameTarget(a: ArmTarget, b: ArmTarget): boolean {
  return a.rule === b.rule && a.unit === b.unit && a.user === b.user;
}
