// The entropy measure of prom-cnproc, kept so that its rules can be ported. It depends on the length of a text more
// than on how random the text is.

/** Shannon entropy of the bytes of `text` in bits, divided by their number; undefined for an empty text. */
export function metricEntropy(text: string): number | undefined {
  const bytes = Buffer.from(text);
  if (bytes.length === 0) return undefined;
  const counts = new Uint16Array(256);
  for (const byte of bytes) counts[byte] = (counts[byte] ?? 0) + 1;
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= (count / bytes.length) * Math.log2(count / bytes.length);
  return bits / bytes.length;
}
