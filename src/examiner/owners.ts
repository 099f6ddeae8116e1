// Which package a path belongs to, for hundreds of thousands of paths in little memory.

/** No distribution has so many files in all of its packages together; a broken database ends here. */
const MOST_PATHS = 8_000_000;

/**
 * Path to the number of a package. Paths are kept as hashes of 53 bits, so what is found has to be confirmed by the
 * package's own list; a path that is not found belongs to nobody.
 */
export class Owners {
  private readonly numbers = new Map<number, number>();

  add(path: string, number: number): void {
    if (this.numbers.size < MOST_PATHS) this.numbers.set(keyOf(path), number);
  }

  find(path: string): number | undefined {
    return this.numbers.get(keyOf(path));
  }
}

function keyOf(path: string): number {
  return Number(BigInt.asUintN(53, Bun.hash.xxHash64(path)));
}
