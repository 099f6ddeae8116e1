// What is left out of the events of the network, from the configuration: pure data, which a sensor encodes for its maps
// in the kernel (filter-maps.ts), and a reference of what it means.
import type { Config } from "../../config/config.ts";
import { type NetworkKind, networkKinds } from "../../vocabulary/event-kinds.ts";
import { type IpAddress, parseIpv4, parseIpv6 } from "../../vocabulary/ip-address.ts";
import { canonicalNetwork, isInNetwork, type Network, parseNetwork } from "../../vocabulary/ip-network.ts";
import { isInRanges, joinedRanges, type PortRange, parsePortRange } from "../../vocabulary/port-ranges.ts";
import type { NetworkEvent, Transport } from "../event.ts";

/** Which ports are left out: all but `ranges`, or only these. The ranges are in ascending order and do not touch. */
export interface IgnoredPorts {
  readonly mode: "except" | "only";
  readonly ranges: readonly PortRange[];
}

/** A canonical network, and what is left out of its events. */
export interface IgnoredNetwork {
  readonly network: Network;
  readonly ports: IgnoredPorts;
}

/** What is left out of the events of one kind. Of several networks that hold an address the longest prefix decides. */
export interface KindFilter {
  /** At most 4,100: what the configuration may have, and loopback. No network stands twice. */
  readonly networks: readonly IgnoredNetwork[];
  /** Ports that are left out whatever the network. */
  readonly ports: IgnoredPorts;
  readonly transports: readonly Transport[];
  /** UDP sockets whose port the kernel chose are left out (only of `listen`). */
  readonly ignoreRandomPorts: boolean;
  /** Sockets of other network namespaces than the warden's own are left out (only of `listen`). */
  readonly hostNamespaceOnly: boolean;
}

export type NetworkFilters = Readonly<Record<NetworkKind, KindFilter>>;

type NetworkConfig = Config["network"];
type Section = NetworkConfig[NetworkKind];
type IgnoredEntry = Section["ignore_networks"][number];

const everyPort: IgnoredPorts = { mode: "except", ranges: [] };

const loopback: readonly Network[] = [
  { address: [127, 0, 0, 0], prefix: 8 },
  { address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], prefix: 128 },
];

/** As a peer these mean this host too: the kernel connects to its loopback address instead. */
const unspecified: readonly Network[] = [
  { address: [0, 0, 0, 0], prefix: 32 },
  { address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], prefix: 128 },
];

/** What `config` leaves out. It was checked: networks and ports are valid. */
export function networkFilters(config: NetworkConfig): NetworkFilters {
  const { connect, send, listen } = config;
  const common = { ignoreRandomPorts: false, hostNamespaceOnly: false };
  return {
    connect: {
      ...kindFilter(connect, [...loopback, ...unspecified]),
      transports: connect.transports,
      ...common,
    },
    send: { ...kindFilter(send, [...loopback, ...unspecified]), transports: ["udp"], ...common },
    listen: {
      ...kindFilter(listen, loopback),
      transports: listen.transports,
      ignoreRandomPorts: !listen.random_ports,
      hostNamespaceOnly: listen.host_namespace_only,
    },
  };
}

/** The kinds that are watched: those that a rule asks for, or the configuration itself; none if they are turned off. */
export function watchedKinds(
  watch: NetworkConfig["watch"],
  ofRules: ReadonlySet<NetworkKind>,
): readonly NetworkKind[] {
  if (watch === "off") return [];
  return networkKinds.filter((kind) => ofRules.has(kind) || (watch !== "rules" && watch.includes(kind)));
}

/** `local`: the networks of this host. */
function kindFilter(section: Section, local: readonly Network[]): Pick<KindFilter, "networks" | "ports"> {
  const networks = section.ignore_networks.flatMap(ignoredNetworks);
  const isListed = (network: Network) => networks.some((each) => isSameNetwork(each.network, network));
  const implied = section.loopback ? [] : local.filter((network) => !isListed(network));
  return {
    networks: [...networks, ...implied.map((network) => ({ network, ports: everyPort }))],
    ports: ignoredPorts(section.only_ports, section.ignore_ports),
  };
}

/** `only`: the only ports that are watched; undefined for all. `ignored`: those that are not watched in any case. */
function ignoredPorts(
  only: readonly (number | string)[] | undefined,
  ignored: readonly (number | string)[],
): IgnoredPorts {
  if (only === undefined) return { mode: "only", ranges: rangesOf(ignored) };
  return { mode: "except", ranges: without(rangesOf(only), rangesOf(ignored)) };
}

function ignoredNetworks(entry: IgnoredEntry): readonly IgnoredNetwork[] {
  const { networks, ports, except_ports } = typeof entry === "string" ? { networks: [entry] } : entry;
  const ignored: IgnoredPorts =
    ports === undefined
      ? { mode: "except", ranges: rangesOf(except_ports ?? []) }
      : { mode: "only", ranges: rangesOf(ports) };
  return networks.flatMap((text) => {
    const network = parseNetwork(text);
    return network === undefined ? [] : [{ network: canonicalNetwork(network), ports: ignored }];
  });
}

function rangesOf(ports: readonly (number | string)[]): readonly PortRange[] {
  return joinedRanges(ports.flatMap((each) => parsePortRange(each) ?? []));
}

/** The ports of `ranges` that are not in `removed`; both in ascending order. */
function without(ranges: readonly PortRange[], removed: readonly PortRange[]): readonly PortRange[] {
  return removed.reduce(
    (left, { first, last }) =>
      left.flatMap((range) =>
        [
          { first: range.first, last: Math.min(range.last, first - 1) },
          { first: Math.max(range.first, last + 1), last: range.last },
        ].filter((part) => part.first <= part.last),
      ),
    ranges,
  );
}

function isSameNetwork(a: Network, b: Network): boolean {
  return a.prefix === b.prefix && a.address.join() === b.address.join();
}

/** What a filter looks at: the peer of `connect` and `send`, the local address of `listen`. */
export function filteredEndpoint(event: NetworkEvent): { readonly address: string; readonly port: number } {
  return event.kind === "listen"
    ? { address: event.localAddress, port: event.localPort }
    : { address: event.peerAddress, port: event.peerPort };
}

/**
 * Whether `event` is left out by its addresses, port and transport: the meaning of the filters, which the maps in the
 * kernel must share.
 */
export function isFiltered(filters: NetworkFilters, event: NetworkEvent): boolean {
  const filter = filters[event.kind];
  const { address, port } = filteredEndpoint(event);
  if (!filter.transports.includes(event.transport) || isIgnoredPort(filter.ports, port)) return true;
  const bytes = parseIpv4(address) ?? parseIpv6(address);
  const network = bytes === undefined ? undefined : longestMatch(filter.networks, bytes);
  return network !== undefined && isIgnoredPort(network.ports, port);
}

function longestMatch(networks: readonly IgnoredNetwork[], address: IpAddress): IgnoredNetwork | undefined {
  return networks
    .filter(({ network }) => network.address.length === address.length && isInNetwork(network, address))
    .reduce<IgnoredNetwork | undefined>(
      (longest, each) =>
        longest === undefined || each.network.prefix > longest.network.prefix ? each : longest,
      undefined,
    );
}

function isIgnoredPort({ mode, ranges }: IgnoredPorts, port: number): boolean {
  return isInRanges(ranges, port) === (mode === "only");
}
