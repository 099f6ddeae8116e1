// A set of networks of one family. A list from a file may have thousands, which must not cost each event thousands of
// comparisons.
import type { IpAddress } from "../vocabulary/ip-address.ts";
import { isInNetwork, type Network } from "../vocabulary/ip-network.ts";

/** Up to this number of networks, comparing one after the other is faster than a search. */
const FEW = 16;

/** The addresses from `first` to `last`, each as a text with a character for each byte, so that texts order as they do. */
interface AddressRange {
  readonly first: string;
  readonly last: string;
}

export class NetworkSet {
  /** Empty if they are many. */
  private readonly few: readonly Network[];
  /** In ascending order, no two of which overlap; empty if the networks are few. */
  private readonly ranges: readonly AddressRange[];

  constructor(networks: readonly Network[]) {
    const areFew = networks.length <= FEW;
    this.few = areFew ? networks : [];
    this.ranges = areFew ? [] : rangesOf(networks);
  }

  /** Whether an address of the networks' family lies in one of them. */
  has(address: IpAddress): boolean {
    for (const network of this.few) if (isInNetwork(network, address)) return true;
    return this.ranges.length > 0 && this.isInRange(String.fromCharCode(...address));
  }

  /** A binary search for the last range that begins at or before `text`. */
  private isInRange(text: string): boolean {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.ranges[middle]?.first ?? "") <= text) low = middle + 1;
      else high = middle;
    }
    const range = this.ranges[low - 1];
    return range !== undefined && text <= range.last;
  }
}

function rangesOf(networks: readonly Network[]): readonly AddressRange[] {
  const sorted = networks.map(rangeOf).sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const ranges: AddressRange[] = [];
  for (const range of sorted) {
    const before = ranges.at(-1);
    if (before === undefined || range.first > before.last) ranges.push(range);
    else if (range.last > before.last) ranges[ranges.length - 1] = { first: before.first, last: range.last };
  }
  return ranges;
}

function rangeOf({ address, prefix }: Network): AddressRange {
  let first = "";
  let last = "";
  for (const [i, byte] of address.entries()) {
    // The bits of the byte that are not in the prefix.
    const free = 0xff >> Math.min(8, Math.max(0, prefix - 8 * i));
    first += String.fromCharCode(byte & ~free);
    last += String.fromCharCode(byte | free);
  }
  return { first, last };
}
