// Areas of the address space in which no test by `cidr` changes its value.
import type { AddressFamily } from "../sensor/event.ts";
import type { IpAddress } from "../vocabulary/ip-address.ts";
import { IPV4_BYTES, isInNetwork, type Network } from "../vocabulary/ip-network.ts";

/** A network without the longer networks within it. */
export interface NetworkArea {
  readonly network: Network;
  /** An address of the network that lies in none of those. */
  readonly address: IpAddress;
}

const BYTES: Readonly<Record<AddressFamily, number>> = { ipv4: IPV4_BYTES, ipv6: 16 };

/**
 * The areas of a family that the canonical networks of that family cut it into: the whole of it is one of them. A network
 * that longer ones fill has none.
 */
export function areasOf(networks: readonly Network[], family: AddressFamily): readonly NetworkArea[] {
  const bytes = BYTES[family];
  const whole: Network = { address: new Array<number>(bytes).fill(0), prefix: 0 };
  const different = new Map([whole, ...networks].map((network) => [keyOf(network), network]));
  const own = [...different.values()].filter(({ address }) => address.length === bytes);
  return own.flatMap((network) => {
    const longer = own.filter((each) => each.prefix > network.prefix && isInNetwork(network, each.address));
    const address = addressOutside(network, longer);
    return address === undefined ? [] : [{ network, address }];
  });
}

function keyOf({ address, prefix }: Network): string {
  return `${address.join()}/${prefix}`;
}

/** The first address of the network in none of the longer ones; undefined if there is none. */
function addressOutside(network: Network, longer: readonly Network[]): IpAddress | undefined {
  let address: IpAddress | undefined = network.address;
  while (address !== undefined) {
    const candidate: IpAddress = address;
    const within = longer.filter((each) => isInNetwork(each, candidate));
    if (within.length === 0) return candidate;
    const widest = within.reduce((a, b) => (b.prefix < a.prefix ? b : a));
    address = next(widest);
    if (address !== undefined && !isInNetwork(network, address)) return undefined;
  }
  return undefined;
}

/** The first address behind a network; undefined behind the last one. */
function next({ address, prefix }: Network): IpAddress | undefined {
  const result = [...address];
  let carry = 1 << ((8 - (prefix % 8)) % 8);
  for (let i = Math.ceil(prefix / 8) - 1; i >= 0; i -= 1) {
    const sum = (result[i] ?? 0) + carry;
    result[i] = sum & 0xff;
    carry = sum >> 8;
    if (carry === 0) return result;
  }
  return undefined;
}
