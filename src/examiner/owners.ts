// An index from path to package, for hundreds of thousands of paths at eight bytes each.

/** Upper limit for a broken database: no distribution has as many files in all its packages. */
const MAX_PATHS = 8_000_000;
/** An entry holds 40 bits of the path's hash and the 24 bits of the package's number. */
const NUMBER_BITS = 24n;
const HASH_BITS = 40;

/**
 * Maps a path to the number of a package, which is less than 2^24. Paths are stored as hashes, so a result must be
 * confirmed by the package's file list; a path without a result belongs to no package. If a path is added twice, the
 * greater number wins.
 */
export class Owners {
  private entries = new BigUint64Array(1024);
  private count = 0;
  private sorted = true;

  add(path: string, number: number): void {
    if (this.count >= MAX_PATHS) return;
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
    // Among equal hashes, the last entry below the next hash has the greatest number.
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
