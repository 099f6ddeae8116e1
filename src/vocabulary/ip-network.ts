// Networks of IP addresses: an address and the length of its prefix (RFC 4632, RFC 4291).
import { type IpAddress, parseIpv4, parseIpv6 } from "./ip-address.ts";

export interface Network {
  readonly address: IpAddress;
  /** Leading bits that an address of the network shares with `address`. */
  readonly prefix: number;
}

/** Bytes of an IPv4 address. */
export const IPV4_BYTES = 4;

/** Bits in front of an IPv4 address that is mapped into IPv6: ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
const MAPPED_PREFIX = 96;

/** The network of `text` ("10.0.0.0/8", "fd00::/8", a single address); undefined if it is not one. */
export function parseNetwork(text: string): Network | undefined {
  const [, literal = "", length] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseIpv4(literal) ?? parseIpv6(literal);
  if (address === undefined) return undefined;
  const bits = 8 * address.length;
  const prefix = length === undefined ? bits : Number(length);
  return prefix > bits ? undefined : { address, prefix };
}

/** Whether an address of the network's family lies in the network. */
export function isInNetwork(network: Network, address: IpAddress): boolean {
  for (let left = network.prefix, i = 0; left > 0; left -= 8, i += 1) {
    const differing = (network.address[i] ?? 0) ^ (address[i] ?? 0);
    if (left >= 8 ? differing !== 0 : differing >> (8 - left) !== 0) return false;
  }
  return true;
}

/** The IPv4 address that is mapped into an IPv6 one; undefined if none is. */
export function mappedIpv4(address: IpAddress): IpAddress | undefined {
  if (address.length === IPV4_BYTES) return undefined;
  const isMapped = address.every((byte, i) => i >= 12 || byte === (i < 10 ? 0 : 0xff));
  return isMapped ? address.slice(12) : undefined;
}

/**
 * The same network in its one canonical form: the bits behind the prefix are 0, and a network of IPv4-mapped addresses
 * is the IPv4 network, because sensors report such addresses as IPv4.
 */
export function canonicalNetwork({ address, prefix }: Network): Network {
  const mapped = prefix >= MAPPED_PREFIX ? mappedIpv4(address) : undefined;
  if (mapped !== undefined) return canonicalNetwork({ address: mapped, prefix: prefix - MAPPED_PREFIX });
  return {
    address: address.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - 8 * i)))),
    prefix,
  };
}
