// English and technical words (listed by build/randomness-words.ts): a name composed of them is not random.
import listed from "./randomness-words.json" with { type: "json" };

const MIN_WORD_LENGTH = 4;
const MAX_WORD_LENGTH = 20;
/** Size of the hash table: a power of two, at least twice the number of words, so that searches are short. */
const SLOTS = 1 << 17;
/** Longer names are not searched for words, which bounds the work. */
const MAX_NAME_LENGTH = 64;

// FNV-1a (draft-eastlake-fnv) of 32 bits: one random text in 80,000 collides with a word.
const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

let table: Uint32Array | undefined;

/** The hash table, built when the first name looks random: most processes never see such a name. */
function wordTable(): Uint32Array {
  if (table !== undefined) return table;
  const created = new Uint32Array(SLOTS);
  const text = Bun.inflateSync(Buffer.from(listed.words, "base64"));
  let hash = OFFSET;
  for (let index = 0; index <= text.length; index++) {
    const code = text[index] ?? 10;
    if (code !== 10) hash = Math.imul(hash ^ code, PRIME);
    else {
      insert(created, hash >>> 0);
      hash = OFFSET;
    }
  }
  table = created;
  return created;
}

function insert(into: Uint32Array, hash: number): void {
  let slot = hash & (SLOTS - 1);
  while (into[slot] !== 0 && into[slot] !== hash) slot = (slot + 1) & (SLOTS - 1);
  into[slot] = hash;
}

function has(words: Uint32Array, hash: number): boolean {
  let slot = hash & (SLOTS - 1);
  for (;;) {
    const entry = words[slot];
    if (entry === hash) return true;
    if (entry === 0 || entry === undefined) return false;
    slot = (slot + 1) & (SLOTS - 1);
  }
}

/** At index i: the most characters that words cover among the first i of the name. */
const covered = new Uint8Array(MAX_NAME_LENGTH + 1);

/** Whether words, regardless of case, cover at least three quarters of `name` (letters and digits) without overlap. */
export function isMadeOfWords(name: string): boolean {
  const { length } = name;
  if (length < MIN_WORD_LENGTH || length > MAX_NAME_LENGTH) return false;
  const words = wordTable();
  covered.fill(0, 0, length + 1);
  for (let start = 0; start < length; start++) {
    const coveredBefore = covered[start] ?? 0;
    if ((covered[start + 1] ?? 0) < coveredBefore) covered[start + 1] = coveredBefore;
    let hash = OFFSET;
    for (let end = start; end < Math.min(length, start + MAX_WORD_LENGTH); end++) {
      const code = name.charCodeAt(end) | 0x20;
      if (code < 0x61 || code > 0x7a) break;
      hash = Math.imul(hash ^ code, PRIME);
      const size = end + 1 - start;
      if (size < MIN_WORD_LENGTH || (covered[end + 1] ?? 0) >= coveredBefore + size) continue;
      if (has(words, hash >>> 0)) covered[end + 1] = coveredBefore + size;
    }
  }
  return (covered[length] ?? 0) * 4 >= length * 3;
}
