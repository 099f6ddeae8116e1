// When an exclusion or a change window ends: by the time of day, and by the clock that nobody sets.
import type { BootEnd, Moment } from "../../baseline/exclusions.ts";
import { boottimeNow } from "../../linux/clock.ts";
import { bootId } from "../../linux/process.ts";
import { nowSeconds } from "./entry-output.ts";

export function nowMoment(): Moment {
  return { second: nowSeconds(), boot: bootId(), uptime: Math.floor(boottimeNow() / 1e9) };
}

/** Both ends of what ends at `until`, in seconds since the epoch. One that has passed already is an end, too. */
export function endsAt(until: number, now: Moment = nowMoment()): { until: number; bootEnd: BootEnd } {
  const uptime = Math.max(0, now.uptime + until - now.second);
  return { until, bootEnd: { boot: now.boot, uptime } };
}
