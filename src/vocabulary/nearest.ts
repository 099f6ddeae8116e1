// The right name that somebody probably meant.

/** Fewer letters are the beginning of too much. */
const BEGINNING = 3;

/**
 * The nearest of `names` to `name` by edit distance; undefined if none is near enough to be a slip of the hand. The
 * beginning of a name is one, too. Dotted names are compared by what follows their common beginning: `event.time` is no slip of `event.name`.
 */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  const wanted = name.toLowerCase();
  for (const candidate of names) {
    const [a, b] = differingEnds(wanted, candidate.toLowerCase());
    // One letter of three may be wrong; of longer names that differ as a whole, two.
    const limit = Math.max(1, Math.floor(a.length / 3), wanted === a && a.length > 4 ? 2 : 1);
    const isBeginning = a.length >= BEGINNING && b.startsWith(a);
    if (Math.abs(a.length - b.length) > limit && !isBeginning) continue;
    const distance = isBeginning ? 1 : editDistance(a, b);
    if (distance > limit || distance >= least) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

/** Both without the elements, up to a dot, that they begin with in common. */
function differingEnds(a: string, b: string): readonly [string, string] {
  let start = 0;
  for (let i = 0; i < a.length && a[i] === b[i]; i += 1) if (a[i] === ".") start = i + 1;
  return [a.slice(start), b.slice(start)];
}

/** Levenshtein's distance, in which two neighbours that are exchanged count once. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
