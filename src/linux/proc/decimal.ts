// Parses decimal numbers from the bytes of /proc without creating strings.

const MINUS = 0x2d;
const BLANK = 0x20;
const TAB = 0x09;

/**
 * Reads numbers separated by blanks or tabs from `bytes[start, end)` into `into`, until `into` is full, the bytes end
 * or another character follows. Returns the number of values. Numbers beyond 2^53 lose their low bits.
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
