// Ranges of TCP and UDP ports.

export const HIGHEST_PORT = 65_535;

/** The ports from `first` to `last`, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** The range of a port (`443`) or of two with a hyphen between (`"30000-40000"`); undefined if it is not one. */
export function parsePortRange(ports: number | string): PortRange | undefined {
  const [, low = "", high = low] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(ports)) ?? [];
  const [first, last] = [Number(low), Number(high)];
  return low !== "" && first <= last && last <= HIGHEST_PORT ? { first, last } : undefined;
}

/** The same ports in ascending order, with ranges that overlap or touch joined. */
export function joinedRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const joined: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    if (before === undefined || range.first > before.last + 1) joined.push(range);
    else if (range.last > before.last) joined[joined.length - 1] = { first: before.first, last: range.last };
  }
  return joined;
}

export function isInRanges(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ first, last }) => port >= first && port <= last);
}
