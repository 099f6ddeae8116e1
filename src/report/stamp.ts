// The two stamps of every record: when, and which one.

/** Crockford's base32, as ULIDs have it. */
const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The last text that was made, of a second. Invalidated by: nothing, the second is compared. */
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
 * Makes the function that gives each record its `log.record.uid`: ULIDs, greater ones later within a millisecond.
 * `random`: 5 bytes that no other process of the host has drawn.
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
    // The count goes first, so that records of one millisecond sort as they were made.
    const low = count % 1024;
    if ((count - low) / 1024 !== round) {
      round = (count - low) / 1024;
      roundText = encode(round, 6);
    }
    return prefix + roundText + (digits[low >>> 5] ?? "0") + (digits[low & 31] ?? "0") + process;
  };
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
