// Parses decimal numbers from the bytes of /proc without creating strings.

const MINUS = 0x2d;
const BLANK = 0x20;
const TAB = 0x09;

/**
 * Reads numbers separated by blanks or tabs from `bytes[start, end)` into `into`, until `into` is full, the bytes end
 * or another character follows. Returns the number of values. Numbers beyond 2^53 lose their low bits.
 */
export function readDecimals(bytes: Uint8Array, start: number, end: number, into: Float64Array): number {
  let position = start;
  let count = 0;
  while (count < into.length) {
    while (position < end && (bytes[position] === BLANK || bytes[position] === TAB)) position += 1;
    const negative = position < end && bytes[position] === MINUS;
    if (negative) position += 1;
    const first = position;
    let value = 0;
    for (; position < end; position += 1) {
      const digit = (bytes[position] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (position === first) break;
    into[count] = negative ? -value : value;
    count += 1;
  }
  return count;
}
