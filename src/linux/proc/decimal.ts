// Decimal numbers straight from the bytes of /proc, without a string for each.

const MINUS = 0x2d;
const BLANK = 0x20;
const TAB = 0x09;

/**
 * Reads numbers that blanks or tabs separate from `bytes[start, end)` into `into`, until it is full, the bytes end or
 * something else stands there. Gives how many. A number beyond 2^53 loses its low bits.
 */
export function readDecimals(bytes: Uint8Array, start: number, end: number, into: Float64Array): number {
  let at = start;
  let count = 0;
  while (count < into.length) {
    while (at < end && (bytes[at] === BLANK || bytes[at] === TAB)) at += 1;
    const negative = at < end && bytes[at] === MINUS;
    if (negative) at += 1;
    const first = at;
    let value = 0;
    for (; at < end; at += 1) {
      const digit = (bytes[at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === first) break;
    into[count] = negative ? -value : value;
    count += 1;
  }
  return count;
}
