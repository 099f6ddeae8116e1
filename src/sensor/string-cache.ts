// Texts that come again and again, such as paths, made into strings once. A hash and a comparison of bytes cost a
// fraction of a decoded string.

/** Makes the text of `bytes[start, end)`. */
export type Decode = (bytes: Uint8Array, start: number, end: number) => string;

/** Longer texts are rare and would make the bound on memory worthless. */
const LONGEST = 256;

/**
 * Remembers at most one text for each of `slots` (a power of two) hash values: bounded whatever processes do.
 * Invalidated by: nothing, a text follows from its bytes, which are compared.
 */
export class StringCache {
  private readonly decode: Decode;
  private readonly mask: number;
  private readonly keys: (Uint8Array | undefined)[];
  private readonly texts: string[];
  /** Of the last text: mostly the next one is the same, and needs no hash. */
  private last = 0;

  constructor(slots: number, decode: Decode) {
    this.decode = decode;
    this.mask = slots - 1;
    this.keys = new Array<Uint8Array | undefined>(slots).fill(undefined);
    this.texts = new Array<string>(slots).fill("");
  }

  text(bytes: Uint8Array, start: number, end: number): string {
    const length = end - start;
    if (length > LONGEST) return this.decode(bytes, start, end);
    if (this.isIn(this.last, bytes, start, end)) return this.texts[this.last] ?? "";
    const slot = hash(bytes, start, end) & this.mask;
    this.last = slot;
    if (this.isIn(slot, bytes, start, end)) return this.texts[slot] ?? "";
    const text = this.decode(bytes, start, end);
    this.keys[slot] = bytes.slice(start, end);
    this.texts[slot] = text;
    return text;
  }

  private isIn(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const key = this.keys[slot];
    return key !== undefined && key.length === end - start && equals(key, bytes, start);
  }
}

/** FNV-1a, 32 bits, with the high bits folded in. A collision only costs a decoding. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let value = 0x811c9dc5;
  for (let i = start; i < end; i += 1) value = Math.imul(value ^ (bytes[i] ?? 0), 0x01000193);
  return value ^ (value >>> 15);
}

function equals(key: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < key.length; i += 1) if (key[i] !== bytes[start + i]) return false;
  return true;
}
