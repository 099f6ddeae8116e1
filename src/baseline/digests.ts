// A hash table from 128-bit digests to numbers, in flat memory: as JavaScript strings, 100,000 trees and all their ends
// would need more memory than the rest of the warden.

/** Maximum load in percent; linear probing gets slow beyond it. */
const MAX_LOAD = 75;
const INITIAL_SLOTS = 64;
/** Words of 32 bits in a digest. */
const WORDS = 4;
const EMPTY = 0xffff_ffff;

/**
 * The current digest, on which the tables work. One shared buffer, so that a lookup allocates nothing. SHA-256, so that
 * an attacker who chooses names cannot make them collide with a known tree.
 */
const current = new Uint8Array(32);
const words = new Uint32Array(current.buffer, 0, WORDS);
const bytes = Buffer.from(current.buffer, 0, WORDS * 4);

/** Sets the current digest to the one of `text`. */
export function digest(text: string): void {
  Bun.SHA256.hash(text, current);
}

/** Sets the current digest to 32 hexadecimal digits, such as a tree id. */
export function setDigest(hex: string): void {
  bytes.write(hex, "hex");
}

/** The current digest as 32 hexadecimal digits. */
export function digestText(): string {
  return bytes.toString("hex");
}

/** Maps digests to numbers below 2^32 - 1. */
export class DigestTable {
  private keys = new Uint32Array(INITIAL_SLOTS * WORDS);
  private values = new Uint32Array(INITIAL_SLOTS).fill(EMPTY);
  private filled = 0;

  get size(): number {
    return this.filled;
  }

  /** The number of the current digest; -1 if there is none. */
  get(): number {
    const value = this.values[this.slotOf()] ?? EMPTY;
    return value === EMPTY ? -1 : value;
  }

  /** Sets the number of the current digest. */
  set(value: number): void {
    let slot = this.slotOf();
    if (this.values[slot] === EMPTY) {
      if ((this.filled + 1) * 100 > this.values.length * MAX_LOAD) {
        this.grow();
        slot = this.slotOf();
      }
      this.keys.set(words, slot * WORDS);
      this.filled += 1;
    }
    this.values[slot] = value;
  }

  /** The slot of the current digest, or the empty slot where it belongs. */
  private slotOf(): number {
    const { keys, values } = this;
    const slots = values.length;
    // The last word, because all tree ids begin with the same digit.
    let slot = Math.floor(((words[3] ?? 0) / 0x1_0000_0000) * slots);
    while (values[slot] !== EMPTY) {
      const first = slot * WORDS;
      if (
        keys[first] === words[0] &&
        keys[first + 1] === words[1] &&
        keys[first + 2] === words[2] &&
        keys[first + 3] === words[3]
      )
        return slot;
      slot = slot + 1 === slots ? 0 : slot + 1;
    }
    return slot;
  }

  private grow(): void {
    const { keys, values } = this;
    const saved = words.slice();
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
    words.set(saved);
  }
}
