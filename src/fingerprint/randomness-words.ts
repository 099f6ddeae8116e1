// English and technical words (listed by build/randomness-words.ts): a name composed of them is not random.
import file from "./randomness-words.json" with { type: "text" };

const MIN_WORD_LENGTH = 4;
const MAX_WORD_LENGTH = 20;
/** Longer names are not searched for words, which bounds the work. */
const MAX_NAME_LENGTH = 64;

// FNV-1a (draft-eastlake-fnv) of 32 bits: one random text in 80,000 collides with a word.
const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

/** The hashes of the words in order, in less than five bytes for each: the lower half of those with the same upper half. */
interface WordTable {
  readonly lower: Uint16Array;
  /** Index in `lower` of the first hash with each upper half, and the end. */
  readonly starts: Uint16Array;
}

const HALVES = 1 << 16;
let table: WordTable | undefined;

/** Built when the first name looks random: most processes never see such a name. */
function wordTable(): WordTable {
  table ??= tableOf(hashesOf(Bun.inflateSync(Buffer.from(encodedWords(), "base64"))));
  return table;
}

/** The text of the file stays in the executable. As a parsed module its words would take 200 kB of every process. */
function encodedWords(): string {
  const { words }: typeof file = JSON.parse(String(file));
  return words;
}

/** `text`: words, one a line. */
function hashesOf(text: Uint8Array): Uint32Array {
  const hashes: number[] = [];
  let hash = OFFSET;
  for (let index = 0; index <= text.length; index++) {
    const code = text[index] ?? 10;
    if (code !== 10) hash = Math.imul(hash ^ code, PRIME);
    else {
      hashes.push(hash >>> 0);
      hash = OFFSET;
    }
  }
  return Uint32Array.from(hashes).sort();
}

/** `hashes`: in order, fewer than HALVES. */
function tableOf(hashes: Uint32Array): WordTable {
  const starts = new Uint16Array(HALVES + 1);
  let index = 0;
  for (let upper = 0; upper < HALVES; upper++) {
    starts[upper] = index;
    while ((hashes[index] ?? Number.POSITIVE_INFINITY) < (upper + 1) * HALVES) index += 1;
  }
  starts[HALVES] = index;
  return { lower: Uint16Array.from(hashes), starts };
}

function has({ lower, starts }: WordTable, hash: number): boolean {
  const upper = hash >>> 16;
  const end = starts[upper + 1] ?? 0;
  for (let index = starts[upper] ?? 0; index < end; index++)
    if (lower[index] === (hash & 0xffff)) return true;
  return false;
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
