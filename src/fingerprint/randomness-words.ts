// Ordinary words, English and technical (build/randomness-words.ts): a name that is made of them was given, not drawn.
import listed from "./randomness-words.json" with { type: "json" };

const SHORTEST = 4;
const LONGEST = 20;
/** A power of two, at least twice as many as there are words: searches end soon. */
const SLOTS = 1 << 17;
/** Of longer names nobody makes sense. */
const LONGEST_NAME = 64;

// FNV-1a (draft-eastlake-fnv). Of 32 bits: a random text passes for a word once in 80,000 times.
const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

let table: Uint32Array | undefined;

/** Made when the first name looks random: most processes never see one. */
function words(): Uint32Array {
  if (table !== undefined) return table;
  const made = new Uint32Array(SLOTS);
  const text = Bun.inflateSync(Buffer.from(listed.words, "base64"));
  let hash = OFFSET;
  for (let at = 0; at <= text.length; at++) {
    const code = text[at] ?? 10;
    if (code !== 10) hash = Math.imul(hash ^ code, PRIME);
    else {
      insert(made, hash >>> 0);
      hash = OFFSET;
    }
  }
  table = made;
  return made;
}

function insert(into: Uint32Array, hash: number): void {
  let slot = hash & (SLOTS - 1);
  while (into[slot] !== 0 && into[slot] !== hash) slot = (slot + 1) & (SLOTS - 1);
  into[slot] = hash;
}

function has(known: Uint32Array, hash: number): boolean {
  let slot = hash & (SLOTS - 1);
  for (;;) {
    const found = known[slot];
    if (found === hash) return true;
    if (found === 0 || found === undefined) return false;
    slot = (slot + 1) & (SLOTS - 1);
  }
}

const covered = new Uint8Array(LONGEST_NAME + 1);

/** True if at least three quarters of `name` (letters and digits) are ordinary words side by side, whatever their case. */
export function isMadeOfWords(name: string): boolean {
  const { length } = name;
  if (length < SHORTEST || length > LONGEST_NAME) return false;
  const known = words();
  covered.fill(0, 0, length + 1);
  for (let start = 0; start < length; start++) {
    const before = covered[start] ?? 0;
    if ((covered[start + 1] ?? 0) < before) covered[start + 1] = before;
    let hash = OFFSET;
    for (let end = start; end < Math.min(length, start + LONGEST); end++) {
      const code = name.charCodeAt(end) | 0x20;
      if (code < 0x61 || code > 0x7a) break;
      hash = Math.imul(hash ^ code, PRIME);
      const size = end + 1 - start;
      if (size < SHORTEST || (covered[end + 1] ?? 0) >= before + size) continue;
      if (has(known, hash >>> 0)) covered[end + 1] = before + size;
    }
  }
  return (covered[length] ?? 0) * 4 >= length * 3;
}
