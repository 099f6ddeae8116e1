// Mutations of corpus entries: the same seed gives the same inputs on every host.

/** Pseudorandom numbers (xorshift32, Marsaglia 2003): fast, and the same everywhere. */
export class Random {
  private state: number;

  constructor(seed: number) {
    // The state must not be 0.
    this.state = Math.imul(seed + 1, 0x9e37_79b1) | 1;
  }

  /** A whole number from 0 up to but not including `limit`, which is at least 1. */
  below(limit: number): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return Math.floor(((x >>> 0) / 0x1_0000_0000) * limit);
  }
}

/** The longest input in bytes. A packet of the wire has as many. */
export const INPUT_LIMIT = 65_536;
/** Longer ones than this are rare: they cost the time of many short ones. */
const USUAL_LIMIT = 4_096;
const RARELY = 200;
/** Mutations of one input: at least 1, mostly few. */
const MOST_MUTATIONS = 6;

/** Bytes at which parsers differ: NUL, separators, quotes, escapes, signs, and the ends of ranges. */
const interesting = Uint8Array.from([
  ...[0, 9, 10, 13, 0x1b, 0x20, 0x22, 0x27, 0x28, 0x29, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x39, 0x3a],
  ...[0x3d, 0x5b, 0x5c, 0x5d, 0x65, 0x7b, 0x7d, 0x7f, 0x80, 0xbf, 0xc0, 0xed, 0xf4, 0xfe, 0xff],
]);

/** Numbers and words at which parsers of text differ. */
const commonWords = [
  ..."0 -1 1e308 -0 4294967295 4294967296 9007199254740993 18446744073709551616 0x7fffffff NaN null".split(
    " ",
  ),
  ...[
    "__proto__",
    "constructor",
    "../",
    "/proc/self/fd/1",
    "\u001b[31m",
    "\u202e",
    "\ud83d\ude00",
    "[[[[[[[[",
  ],
];

export class Mutator {
  private readonly random: Random;
  private readonly words: readonly Uint8Array[];
  private readonly work = new Uint8Array(new ArrayBuffer(INPUT_LIMIT));
  private readonly moved = new Uint8Array(INPUT_LIMIT);
  private length = 0;

  constructor(seed: number, words: readonly string[]) {
    this.random = new Random(seed);
    this.words = [...commonWords, ...words].map((word) => new TextEncoder().encode(word));
  }

  /** An input made of entries of `pool`. It is only valid until the next call. */
  next(pool: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    const { random } = this;
    this.take(this.pick(pool));
    for (let left = 1 + random.below(random.below(MOST_MUTATIONS) + 1); left > 0; left -= 1)
      this.mutate(pool);
    const limit = random.below(RARELY) === 0 ? INPUT_LIMIT : USUAL_LIMIT;
    return this.work.subarray(0, Math.min(this.length, limit));
  }

  private pick<T>(from: readonly T[]): T {
    const picked = from[this.random.below(from.length)];
    if (picked === undefined) throw new Error("nothing to mutate");
    return picked;
  }

  private take(entry: Uint8Array): void {
    this.length = Math.min(entry.length, INPUT_LIMIT);
    this.work.set(entry.subarray(0, this.length));
  }

  private mutate(pool: readonly Uint8Array[]): void {
    const { random, work } = this;
    const at = random.below(this.length + 1);
    switch (random.below(10)) {
      case 0:
        if (at < this.length) work[at] = (work[at] ?? 0) ^ (1 << random.below(8));
        return;
      case 1:
        if (at < this.length) work[at] = random.below(256);
        return;
      case 2:
        if (at < this.length) work[at] = interesting[random.below(interesting.length)] ?? 0;
        return;
      case 3:
        this.remove(at, 1 + random.below(random.below(64) + 1));
        return;
      case 4:
        this.insert(at, this.pick(this.words));
        return;
      case 5:
        this.overwrite(at, this.pick(this.words));
        return;
      case 6: {
        // A piece of this input, once more, or many times.
        const from = random.below(this.length + 1);
        const piece = work.slice(from, Math.min(this.length, from + 1 + random.below(64)));
        const times = random.below(RARELY) === 0 ? 1_000 : 1 + random.below(3);
        for (let i = 0; i < times; i += 1) this.insert(at, piece);
        return;
      }
      case 7: {
        const other = this.pick(pool);
        const from = random.below(other.length + 1);
        this.insert(at, other.subarray(from, from + 1 + random.below(256)));
        return;
      }
      case 8:
        // The beginning of this one and the end of another one.
        this.length = at;
        this.insert(at, this.pick(pool).subarray(random.below(at + 1)));
        return;
      default:
        this.replaceNumber(at);
        return;
    }
  }

  private remove(at: number, count: number): void {
    const end = Math.min(this.length, at + count);
    this.work.copyWithin(at, end, this.length);
    this.length -= end - at;
  }

  private insert(at: number, piece: Uint8Array): void {
    const count = Math.min(piece.length, INPUT_LIMIT - this.length);
    // The piece may be a part of the input itself.
    this.moved.set(piece.subarray(0, count));
    this.work.copyWithin(at + count, at, this.length);
    this.work.set(this.moved.subarray(0, count), at);
    this.length += count;
  }

  private overwrite(at: number, piece: Uint8Array): void {
    const count = Math.min(piece.length, INPUT_LIMIT - at);
    this.work.set(piece.subarray(0, count), at);
    this.length = Math.max(this.length, at + count);
  }

  /** Replaces the decimal number at or behind `at` by another one. */
  private replaceNumber(at: number): void {
    const { work, length } = this;
    const isDigit = (i: number): boolean => i < length && (work[i] ?? 0) >= 0x30 && (work[i] ?? 0) <= 0x39;
    let start = at;
    while (start < length && !isDigit(start)) start += 1;
    if (start === length) return;
    let end = start;
    while (isDigit(end)) end += 1;
    this.remove(start, end - start);
    this.insert(start, this.pick(this.words));
  }
}
