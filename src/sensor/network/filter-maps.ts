// The filters of network events as the bytes of maps in the kernel: one trie of prefixes (BPF_MAP_TYPE_LPM_TRIE) for all
// kinds, and for each kind a bitmap of ports.
import { type NetworkKind, networkKinds } from "../../vocabulary/event-kinds.ts";
import { IPV4_BYTES, type Network } from "../../vocabulary/ip-network.ts";
import { HIGHEST_PORT, type PortRange } from "../../vocabulary/port-ranges.ts";
import type { IgnoredNetwork, IgnoredPorts, NetworkFilters } from "./filters.ts";

/** Ranges of one network; the configuration has no more. */
const RANGES = 8;

/**
 * A key of the trie: struct bpf_lpm_trie_key (linux/bpf.h), whose data are the kind, the family and the address in network
 * order. A lookup asks with the prefix length `keyBits` of its family.
 */
export const trieKey = {
  /** u32: the bits of the data that count. */
  prefixLength: 0,
  /** u16: the position of the kind in `networkKinds`. */
  kind: 4,
  /** u16: 4 or 6. */
  family: 6,
  /** 16 bytes; IPv4 in the first four, the rest 0. On a multiple of 4, as the verifier wants it of words on the stack. */
  address: 8,
  size: 24,
} as const;

/** Bits of a key in front of the address. */
const HEAD_BITS = 8 * (trieKey.address - trieKey.kind);

/** The prefix length of a lookup, for IPv4 and IPv6. */
export const keyBits = { ipv4: HEAD_BITS + 32, ipv6: HEAD_BITS + 128 } as const;

/** A value of the trie. */
export const trieValue = {
  /** u16: 1 if a port in one of the ranges is left out, and 0 if a port in none of them is. */
  onlyRanges: 0,
  /** u16: how many ranges there are. */
  count: 2,
  /** Each range: u16 first and u16 last port, in host order. */
  ranges: 4,
  size: 4 + 4 * RANGES,
} as const;

/** Bytes of a bitmap of ports: bit `port & 7` of byte `port >> 3`. */
export const PORT_BITMAP_BYTES = (HIGHEST_PORT + 1) / 8;

export interface TrieEntry {
  readonly key: Uint8Array<ArrayBuffer>;
  readonly value: Uint8Array<ArrayBuffer>;
}

/** The filters in bytes of this machine's order (little endian: all processors that treewarden runs on). */
export interface FilterMaps {
  /** Different keys; the longest prefix decides. */
  readonly networks: readonly TrieEntry[];
  /** For each kind a bitmap, in which the bit of a port that is left out is 1. */
  readonly ports: Readonly<Record<NetworkKind, Uint8Array<ArrayBuffer>>>;
}

export function filterMaps(filters: NetworkFilters): FilterMaps {
  return {
    networks: networkKinds.flatMap((kind) => filters[kind].networks.map((each) => trieEntry(kind, each))),
    ports: {
      connect: portBitmap(filters.connect.ports),
      send: portBitmap(filters.send.ports),
      listen: portBitmap(filters.listen.ports),
    },
  };
}

function trieEntry(kind: NetworkKind, { network, ports }: IgnoredNetwork): TrieEntry {
  return { key: trieEntryKey(kind, network), value: portsValue(ports) };
}

function trieEntryKey(kind: NetworkKind, { address, prefix }: Network): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(trieKey.size);
  const view = new DataView(key.buffer);
  view.setUint32(trieKey.prefixLength, HEAD_BITS + prefix, true);
  view.setUint16(trieKey.kind, networkKinds.indexOf(kind), true);
  view.setUint16(trieKey.family, address.length === IPV4_BYTES ? 4 : 6, true);
  key.set(address, trieKey.address);
  return key;
}

/** The value of ports in a trie, see `trieValue`. Throws an Error if there are too many ranges. */
export function portsValue({ mode, ranges }: IgnoredPorts): Uint8Array<ArrayBuffer> {
  if (ranges.length > RANGES) throw new Error(`a network has at most ${RANGES} ranges of ports`);
  const value = new Uint8Array(trieValue.size);
  const view = new DataView(value.buffer);
  view.setUint16(trieValue.onlyRanges, mode === "only" ? 1 : 0, true);
  view.setUint16(trieValue.count, ranges.length, true);
  for (const [i, { first, last }] of ranges.entries()) {
    view.setUint16(trieValue.ranges + 4 * i, first, true);
    view.setUint16(trieValue.ranges + 4 * i + 2, last, true);
  }
  return value;
}

function portBitmap({ mode, ranges }: IgnoredPorts): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(PORT_BITMAP_BYTES).fill(mode === "only" ? 0 : 0xff);
  for (const range of ranges) invert(bits, range);
  return bits;
}

/** Inverts the bits of a range; no two ranges of a bitmap have a port in common. */
function invert(bits: Uint8Array, { first, last }: PortRange): void {
  for (let port = first; port <= last; port += 1) {
    const at = port >> 3;
    bits[at] = (bits[at] ?? 0) ^ (1 << (port & 7));
  }
}
