// A set of denied networks as the keys and values of the trie that deny.ts looks up.
import { pinned, pinnedCopy } from "../../../linux/bpf/syscall.ts";
import { networkKinds } from "../../../vocabulary/event-kinds.ts";
import { IPV4_BYTES } from "../../../vocabulary/ip-network.ts";
import {
  HIGHEST_USER,
  type UserPrefix,
  type UserRange,
  userPrefixes,
} from "../../../vocabulary/user-ranges.ts";
import type { DeniedNetwork } from "../../network/denial.ts";
import { portsValue, trieValue } from "../../network/filter-maps.ts";
import { DENY_HEAD_BITS, DENY_USERS, denyKey, transportNumbers } from "./layout.ts";

/** Whose addresses do not change. */
export interface DenyEntry {
  readonly key: Uint8Array<ArrayBuffer>;
  readonly value: Uint8Array<ArrayBuffer>;
}

/** A set that denies users different networks has a set for each range of them. */
export function isByUser(networks: readonly DeniedNetwork[]): boolean {
  return networks.some(({ users }) => users !== undefined);
}

/** `set`: with the bit DENY_BY_USER if it has users. `newSet` returns an unused number for each set of a range of users. */
export function denyEntries(
  set: number,
  networks: readonly DeniedNetwork[],
  newSet: () => number,
): readonly DenyEntry[] {
  if (!isByUser(networks)) return networks.map((network) => networkEntry(set, network));
  return userRanges(networks).flatMap((range) => {
    const ofRange = networks.filter(({ users }) => users === undefined || isWithin(range, users));
    if (ofRange.length === 0) return [];
    const own = newSet();
    return [
      ...ofRange.map((network) => networkEntry(own, network)),
      ...userPrefixes(range).map((prefix) => userEntry(set, prefix, own)),
    ];
  });
}

/** The ranges at whose edges what is denied can change. */
function userRanges(networks: readonly DeniedNetwork[]): readonly UserRange[] {
  const starts = new Set([0]);
  for (const { users } of networks) {
    if (users === undefined) continue;
    starts.add(users.first);
    if (users.last < HIGHEST_USER) starts.add(users.last + 1);
  }
  const ascending = [...starts].sort((a, b) => a - b);
  return ascending.map((first, i) => ({ first, last: (ascending[i + 1] ?? HIGHEST_USER + 1) - 1 }));
}

function isWithin({ first, last }: UserRange, outer: UserRange): boolean {
  return first >= outer.first && last <= outer.last;
}

function networkEntry(set: number, { kind, transport, network, ports }: DeniedNetwork): DenyEntry {
  const key = pinned(denyKey.size);
  const view = new DataView(key.buffer);
  view.setUint32(denyKey.prefixLength, DENY_HEAD_BITS + network.prefix, true);
  view.setUint32(denyKey.set, set, true);
  view.setUint8(denyKey.kind, networkKinds.indexOf(kind));
  view.setUint8(denyKey.transport, transportNumbers[transport]);
  view.setUint8(denyKey.family, network.address.length === IPV4_BYTES ? 4 : 6);
  key.set(network.address, denyKey.address);
  return { key, value: pinnedCopy(portsValue(ports)) };
}

function userEntry(set: number, { first, length }: UserPrefix, ofUsers: number): DenyEntry {
  const key = pinned(denyKey.size);
  const view = new DataView(key.buffer);
  view.setUint32(denyKey.prefixLength, DENY_HEAD_BITS + length, true);
  view.setUint32(denyKey.set, set, true);
  view.setUint8(denyKey.kind, DENY_USERS);
  view.setUint32(denyKey.address, first);
  const value = pinned(trieValue.size);
  new DataView(value.buffer).setUint32(trieValue.ranges, ofUsers, true);
  return { key, value };
}
