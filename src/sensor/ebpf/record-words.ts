// Numbers of a record, from the ring's bytes as 32-bit words.
import { bootTicks, NS_PER_TICK } from "../../linux/ticks.ts";

/** The 32-bit number at `field` of the record that begins at byte `start`. */
export function word(words: Uint32Array, start: number, field: number): number {
  return words[(start + field) >>> 2] ?? 0;
}

/** A number of 64 bits; exact below 2^53. */
export function long(words: Uint32Array, start: number, field: number): number {
  return word(words, start, field + 4) * 2 ** 32 + word(words, start, field);
}

/** 2^32 ns as whole clock ticks and the remaining nanoseconds. */
const TICKS_OF_HIGH = Math.floor(2 ** 32 / NS_PER_TICK);
const NS_OF_HIGH = 2 ** 32 % NS_PER_TICK;

/** Converts nanoseconds to clock ticks like nsec_to_clock_t in kernel/time/time.c; exact for any uptime. */
export function ticksAt(words: Uint32Array, start: number, field: number): number {
  const high = word(words, start, field + 4);
  return high * TICKS_OF_HIGH + bootTicks(high * NS_OF_HIGH + word(words, start, field));
}
