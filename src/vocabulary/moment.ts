// When something ends: by the wall clock or by CLOCK_BOOTTIME, which cannot be set, whichever comes first.
/** A moment on both clocks. */
export interface Moment {
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly wall: number;
  /** The id of the present boot (/proc/sys/kernel/random/boot_id). */
  readonly boot: string;
  /** Seconds of CLOCK_BOOTTIME. */
  readonly boottime: number;
}

/** The end of what lasts `length` seconds. */
export interface End {
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly wall: number;
  /** The boot in which it began. */
  readonly boot: string;
  /** Where it ends on CLOCK_BOOTTIME of that boot, in seconds. */
  readonly boottime: number;
  readonly length: number;
}

/** The end of what begins at `now` and lasts `length` seconds. */
export function endAfter(length: number, now: Moment): End {
  return { wall: now.wall + length, boot: now.boot, boottime: now.boottime + length, length };
}

/**
 * Seconds until the end, at most 0 if it has passed: at the earlier of its wall time and its length on CLOCK_BOOTTIME.
 * So neither a clock that is set nor a suspended machine prolongs anything. A boot that lasts longer than the length has
 * seen the end, because the beginning was before that boot began.
 */
export function secondsUntil(end: End, now: Moment): number {
  return Math.min(end.wall - now.wall, bootEnd(end, now) - now.boottime);
}

/** Whether `end` comes no earlier than `other`, wherever the clock is set to and whether the host is booted again. */
export function isNoEarlier(end: End, other: End, now: Moment): boolean {
  return end.wall >= other.wall && end.length >= other.length && bootEnd(end, now) >= bootEnd(other, now);
}

/** Where it ends on CLOCK_BOOTTIME of the present boot. */
function bootEnd({ boot, boottime, length }: End, now: Moment): number {
  return now.boot === boot ? boottime : length;
}
