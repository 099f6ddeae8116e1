// Ranges of user ids, and the prefixes of 32 bits that they consist of.

/** uid_t is 32 bits wide; the highest number means no user (include/linux/uidgid.h). */
export const HIGHEST_USER = 0xffff_ffff;

/** The users from `first` to `last`, both included. */
export interface UserRange {
  readonly first: number;
  readonly last: number;
}

/** The numbers whose first `length` bits of 32 are those of `first`. */
export interface UserPrefix {
  readonly first: number;
  readonly length: number;
}

/** The fewest prefixes that have the users of the range, and no others: at most 62. */
export function userPrefixes({ first, last }: UserRange): readonly UserPrefix[] {
  const prefixes: UserPrefix[] = [];
  for (let from = first; from <= last; ) {
    let size = 1;
    while (from % (2 * size) === 0 && from + 2 * size - 1 <= last && 2 * size <= HIGHEST_USER + 1) size *= 2;
    prefixes.push({ first: from, length: 32 - Math.log2(size) });
    from += size;
  }
  return prefixes;
}
