// Which package a path belongs to, for hundreds of thousands of paths in eight bytes each.

/** No distribution has so many files in all of its packages together; a broken database ends here. */
const MOST_PATHS = 8_000_000;
/** An entry is 40 bits of the path's hash and 24 of the package's number. */
const NUMBER_BITS = 24n;
const HASH_BITS = 40;

/**
 * Path to the number of a package, less than 2^24. Paths are kept as hashes, so what is found has to be confirmed by
 * the package's own list; a path that is not found belongs to nobody. A path added twice is the later number's.
 */
export class Owners {
  private entries = new BigUint64Array(1024);
  private count = 0;
  private sorted = true;

  add(path: string, number: number): void {
    if (this.count >= MOST_PATHS) return;
    if (this.count === this.entries.length) {
      const grown = new BigUint64Array(this.count * 2);
      grown.set(this.entries);
      this.entries = grown;
    }
    this.entries[this.count] = (hashOf(path) << NUMBER_BITS) | BigInt(number);
    this.count += 1;
    this.sorted = false;
  }

  find(path: string): number | undefined {
    if (!this.sorted) {
      this.entries = this.entries.slice(0, this.count).sort();
      this.sorted = true;
    }
    const hash = hashOf(path);
    // The last entry below the next hash is the one with the greatest number.
    const above = (hash + 1n) << NUMBER_BITS;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.entries[middle] ?? 0n) < above) low = middle + 1;
      else high = middle;
    }
    const entry = low === 0 ? undefined : this.entries[low - 1];
    if (entry === undefined || entry >> NUMBER_BITS !== hash) return undefined;
    return Number(entry & ((1n << NUMBER_BITS) - 1n));
  }
}

function hashOf(path: string): bigint {
  return BigInt.asUintN(HASH_BITS, Bun.hash.xxHash64(path));
}
