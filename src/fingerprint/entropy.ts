// The entropy measure of prom-cnproc, kept so that its rules can be ported. It depends on the length of a text more
// than on how random the text is.

const counts = new Uint16Array(256);
const encoder = new TextEncoder();
/** A name has at most NAME_MAX bytes (linux/limits.h); a path in an argument may have longer elements. */
const bytes = new Uint8Array(4096);

/**
 * Shannon entropy of the bytes of `text` in bits, divided by their number; undefined for an empty text. Of a text
 * longer than a path (PATH_MAX, 4,096 bytes) only the beginning counts.
 */
export function metricEntropy(text: string): number | undefined {
  const { written: length } = encoder.encodeInto(text, bytes);
  if (length === 0) return undefined;
  for (let at = 0; at < length; at++) counts[bytes[at] ?? 0] = (counts[bytes[at] ?? 0] ?? 0) + 1;
  let bits = 0;
  for (let at = 0; at < length; at++) {
    const count = counts[bytes[at] ?? 0] ?? 0;
    if (count === 0) continue;
    bits -= (count / length) * Math.log2(count / length);
    counts[bytes[at] ?? 0] = 0;
  }
  return bits / length;
}

/** The lower of two entropies, of which either may be unknown. */
export function lowerEntropy(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}
