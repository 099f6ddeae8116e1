// The two stamps of every record: its timestamp and its uid.

/** Crockford's base32, as used by ULIDs. */
const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The cached text of the last second. Invalidated by: nothing, the second is compared. */
let second = -1;
let secondText = "";

/** RFC 3339, UTC, with microseconds. `wallNs`: nanoseconds since the epoch (a number is exact to 256 of them). */
export function timestamp(wallNs: number): string {
  const micros = Math.floor(wallNs / 1000);
  const now = Math.floor(micros / 1e6);
  if (now !== second) {
    second = now;
    secondText = new Date(now * 1000).toISOString().slice(0, 20);
  }
  return `${secondText}${String(micros - now * 1e6).padStart(6, "0")}Z`;
}

/**
 * Creates the generator of `log.record.uid`: ULIDs that increase within a millisecond. `random`: 5 bytes that identify
 * this process.
 */
export function recordUids(random: Uint8Array): (wallNs: number) => string {
  let process = "";
  for (let bits = 0n, i = 0; i < 5; i++) {
    bits = (bits << 8n) | BigInt(random[i] ?? 0);
    if (i === 4) for (let at = 35n; at >= 0n; at -= 5n) process += digits[Number((bits >> at) & 31n)];
  }
  let count = 0;
  let millisecond = -1;
  let prefix = "";
  let round = -1;
  let roundText = "";
  return (wallNs) => {
    const now = Math.floor(wallNs / 1e6);
    if (now !== millisecond) {
      millisecond = now;
      prefix = encode(now, 10);
    }
    count = (count + 1) % 2 ** 40;
    // The count comes first, so that records of the same millisecond sort in the order of their creation.
    const low = count % 1024;
    if ((count - low) / 1024 !== round) {
      round = (count - low) / 1024;
      roundText = encode(round, 6);
    }
    return prefix + roundText + (digits[low >>> 5] ?? "0") + (digits[low & 31] ?? "0") + process;
  };
}

/** Characters of a uid that are its time. */
const TIME_DIGITS = 10;

/**
 * When records whose uid begins with `prefix` can have happened: first and last millisecond since the epoch. Undefined if
 * no uid begins so.
 */
export function uidTimes(prefix: string): { readonly first: number; readonly last: number } | undefined {
  let first = 0;
  for (const digit of prefix) if (!digits.includes(digit)) return undefined;
  const known = prefix.slice(0, TIME_DIGITS);
  for (const digit of known) first = first * 32 + digits.indexOf(digit);
  const unit = 32 ** (TIME_DIGITS - known.length);
  return { first: first * unit, last: (first + 1) * unit - 1 };
}

function encode(value: number, length: number): string {
  let text = "";
  let rest = value;
  for (let i = 0; i < length; i++) {
    text = (digits[rest % 32] ?? "0") + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}
