// A table from 128-bit digests to numbers in flat memory: 100,000 trees and all their ends as JavaScript strings would
// take more than everything else in the warden together.

/** Slots filled at most, in hundredths: linear probing gets slow beyond. */
const FILL = 75;
const LEAST_SLOTS = 64;
/** Words of 32 bits in a digest. */
const WORDS = 4;
const EMPTY = 0xffff_ffff;

/**
 * The digest that was made last. One buffer: nothing is kept of it by anybody, and a lookup makes no object.
 * SHA-256, since those who choose names must not be able to choose one that is known.
 */
const made = new Uint8Array(32);
const words = new Uint32Array(made.buffer, 0, WORDS);
const bytes = Buffer.from(made.buffer, 0, WORDS * 4);

/** Makes `text`'s digest the one that the tables below work on. */
export function digest(text: string): void {
  Bun.SHA256.hash(text, made);
}

/** Takes 32 hexadecimal digits, such as a tree id, as the digest. */
export function digestIs(hex: string): void {
  bytes.write(hex, "hex");
}

/** The digest as 32 hexadecimal digits. */
export function digestText(): string {
  return bytes.toString("hex");
}

/** Numbers below 2^32 - 1 by digest. */
export class DigestTable {
  private keys = new Uint32Array(LEAST_SLOTS * WORDS);
  private values = new Uint32Array(LEAST_SLOTS).fill(EMPTY);
  private filled = 0;

  get size(): number {
    return this.filled;
  }

  /** The number of the digest made last; -1 if there is none. */
  get(): number {
    const value = this.values[this.slotOf()] ?? EMPTY;
    return value === EMPTY ? -1 : value;
  }

  /** Sets the number of the digest made last. */
  set(value: number): void {
    let slot = this.slotOf();
    if (this.values[slot] === EMPTY) {
      if ((this.filled + 1) * 100 > this.values.length * FILL) {
        this.grow();
        slot = this.slotOf();
      }
      this.keys.set(words, slot * WORDS);
      this.filled += 1;
    }
    this.values[slot] = value;
  }

  /** The slot of the digest, or the empty one where it belongs. */
  private slotOf(): number {
    const { keys, values } = this;
    const slots = values.length;
    // Not the first word: all tree ids begin with the same digit.
    let slot = Math.floor(((words[3] ?? 0) / 0x1_0000_0000) * slots);
    while (values[slot] !== EMPTY) {
      const at = slot * WORDS;
      if (
        keys[at] === words[0] &&
        keys[at + 1] === words[1] &&
        keys[at + 2] === words[2] &&
        keys[at + 3] === words[3]
      )
        return slot;
      slot = slot + 1 === slots ? 0 : slot + 1;
    }
    return slot;
  }

  private grow(): void {
    const { keys, values } = this;
    const wanted = words.slice();
    const slots = Math.ceil(values.length * 1.5);
    this.keys = new Uint32Array(slots * WORDS);
    this.values = new Uint32Array(slots).fill(EMPTY);
    for (let slot = 0; slot < values.length; slot++) {
      const value = values[slot] ?? EMPTY;
      if (value === EMPTY) continue;
      words.set(keys.subarray(slot * WORDS, slot * WORDS + WORDS));
      const to = this.slotOf();
      this.keys.set(words, to * WORDS);
      this.values[to] = value;
    }
    words.set(wanted);
  }
}
