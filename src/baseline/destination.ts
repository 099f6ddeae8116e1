// Destinations of a tree's connections and datagrams, as a baseline keeps them: networks that addresses are folded to once
// there are enough of them, and services instead of ports. A destination stands in an entry in place of a path.
import type { Transport } from "../sensor/event.ts";
import { formatAddress, type IpAddress, parseIpv4, parseIpv6 } from "../vocabulary/ip-address.ts";
import { canonicalNetwork, IPV4_BYTES, type Network, parseNetwork } from "../vocabulary/ip-network.ts";
import { serviceNames } from "./service-names.ts";

export interface Destination {
  readonly transport: Transport;
  /** Of one of the prefixes in `levels`. */
  readonly network: Network;
  /** A name, a port, `ephemeral` or `any`. */
  readonly service: string;
}

/** How many networks of `prefix` become their network of the next level. */
interface Level {
  readonly prefix: number;
  readonly enough: number;
}

const ipv4Levels: readonly Level[] = [
  { prefix: 32, enough: 4 },
  { prefix: 24, enough: 4 },
  { prefix: 16, enough: 8 },
  { prefix: 0, enough: Number.POSITIVE_INFINITY },
];
const ipv6Levels: readonly Level[] = [
  { prefix: 128, enough: 4 },
  { prefix: 64, enough: 4 },
  { prefix: 48, enough: 8 },
  { prefix: 0, enough: Number.POSITIVE_INFINITY },
];

/** Further services of a tree become `any`: a port scanner has no services. */
const SERVICES_LIMIT = 32;
const ANY = "any";
const EPHEMERAL = "ephemeral";
/** The first port that Linux gives to clients (ip_local_port_range): who listens there was told the port by its peer. */
const FIRST_EPHEMERAL = 32_768;

/** What the text of a destination begins with, and no path does. */
const PREFIX = "outbound:";
const pattern = /^outbound:(tcp|udp):([0-9a-f.:]+\/\d+):([a-z0-9-]+)$/;
/** Texts of a service that are no port. */
const serviceWords: ReadonlySet<string> = new Set([...serviceNames.values(), ANY, EPHEMERAL]);

/** Whether what stands in place of a path is a destination. */
export function isDestination(path: string): boolean {
  return path.startsWith(PREFIX);
}

/** `outbound:tcp:198.51.100.0/24:https` */
export function destinationText({ transport, network, service }: Destination): string {
  return `${PREFIX}${transport}:${formatAddress(network.address)}/${network.prefix}:${service}`;
}

/** Parses the output of `destinationText`; undefined for any other text. */
export function parseDestination(text: string): Destination | undefined {
  const [, transport, cidr = "", service = ""] = pattern.exec(text) ?? [];
  const network = parseNetwork(cidr);
  if (network === undefined || (transport !== "tcp" && transport !== "udp") || !isService(service))
    return undefined;
  const destination = { transport, network: canonicalNetwork(network), service } as const;
  const isLevel = levelsOf(network.address).some(({ prefix }) => prefix === network.prefix);
  return isLevel && destinationText(destination) === text ? destination : undefined;
}

function isService(text: string): boolean {
  return serviceWords.has(text) || (/^\d{1,5}$/.test(text) && serviceOf(Number(text)) === text);
}

/** The service of a port: its name if it has a common one, `ephemeral` above 32767, else the number. */
export function serviceOf(port: number): string {
  return port >= FIRST_EPHEMERAL ? EPHEMERAL : (serviceNames.get(port) ?? String(port));
}

/** The destination of one event; undefined if `address` is none. */
export function destinationOf(transport: Transport, address: string, port: number): Destination | undefined {
  const bytes = parseIpv4(address) ?? parseIpv6(address);
  if (bytes === undefined) return undefined;
  return { transport, network: { address: bytes, prefix: 8 * bytes.length }, service: serviceOf(port) };
}

/** The texts of all destinations that hold `destination`, itself first. */
export function textsHolding({ transport, network, service }: Destination): readonly string[] {
  const wider = levelsOf(network.address).filter(({ prefix }) => prefix <= network.prefix);
  return wider.flatMap(({ prefix }) =>
    [service, ANY].map((each) =>
      destinationText({
        transport,
        network: canonicalNetwork({ address: network.address, prefix }),
        service: each,
      }),
    ),
  );
}

function levelsOf(address: IpAddress): readonly Level[] {
  return address.length === IPV4_BYTES ? ipv4Levels : ipv6Levels;
}

/** The same destinations with networks and services folded where there are enough of them; none holds another one. */
export function foldDestinations(destinations: readonly Destination[]): readonly Destination[] {
  const byTransport = Map.groupBy(destinations, ({ transport }) => transport);
  const services = [...byTransport.values()].flatMap(foldServices);
  const alike = Map.groupBy(services, groupKey);
  const folded = [...alike.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    return foldNetworks(group.map(({ network }) => network)).map((network) => ({ ...first, network }));
  });
  const texts = new Set(folded.map(destinationText));
  return folded.filter(
    (each) => !textsHolding(each).some((text) => text !== destinationText(each) && texts.has(text)),
  );
}

function foldServices(destinations: readonly Destination[]): readonly Destination[] {
  const services = new Set(destinations.map(({ service }) => service));
  if (services.size <= SERVICES_LIMIT) return destinations;
  return destinations.map((each) => ({ ...each, service: ANY }));
}

/** Networks of one family, from the level of addresses upwards. */
function foldNetworks(networks: readonly Network[]): readonly Network[] {
  const levels = levelsOf(networks[0]?.address ?? []);
  let folded = distinct(networks);
  for (const [i, { prefix, enough }] of levels.entries()) {
    const next = levels[i + 1];
    if (next === undefined) break;
    const within = (network: Network, bits: number): Network =>
      canonicalNetwork({ address: network.address, prefix: bits });
    const finer = folded.filter((network) => network.prefix > next.prefix);
    const coarser = folded.filter((network) => network.prefix <= next.prefix);
    const byParent = Map.groupBy(finer, (network) => networkKey(within(network, next.prefix)));
    folded = distinct([
      ...coarser,
      ...[...byParent.values()].flatMap((group) => {
        const [first] = group;
        const parts = new Set(group.map((network) => networkKey(within(network, prefix))));
        return first !== undefined && parts.size >= enough ? [within(first, next.prefix)] : group;
      }),
    ]);
  }
  return folded;
}

function distinct(networks: readonly Network[]): readonly Network[] {
  return [...new Map(networks.map((network) => [networkKey(network), network])).values()];
}

function networkKey({ address, prefix }: Network): string {
  return `${address.join()}/${prefix}`;
}

/** The destinations of one tree while they are learned: at most 128 for each of 33 services, transport and family. */
export class LearnedDestinations {
  /** By transport, service and family, which are folded each alone; in each, by the text. */
  private groups = new Map<string, Map<string, Destination>>();
  private texts = new Set<string>();
  /** Transports whose services are no longer distinguished. */
  private readonly ofAnyService = new Set<Transport>();

  /** Adds a destination. Returns the one that holds it now, which may be a wider one. */
  add(given: Destination): string {
    const holding = textsHolding(given);
    const known = holding.find((text) => this.texts.has(text));
    if (known !== undefined) return known;
    const isOfAny = this.ofAnyService.has(given.transport);
    this.fold(isOfAny ? { ...given, service: ANY } : given);
    if (!isOfAny) this.limitServices(given.transport);
    return holding.find((text) => this.texts.has(text)) ?? destinationText(given);
  }

  private fold(added: Destination): void {
    const key = groupKey(added);
    const group = this.groups.get(key) ?? new Map<string, Destination>();
    for (const text of group.keys()) this.texts.delete(text);
    const networks = foldNetworks([...group.values(), added].map(({ network }) => network));
    const all = networks.map((network) => ({ ...added, network }));
    this.groups.set(key, new Map(all.map((each) => [destinationText(each), each])));
    for (const each of all) this.texts.add(destinationText(each));
  }

  private limitServices(transport: Transport): void {
    const all = [...this.groups.values()].flatMap((group) => [...group.values()]);
    const ofTransport = all.filter((each) => each.transport === transport);
    if (new Set(ofTransport.map(({ service }) => service)).size <= SERVICES_LIMIT) return;
    this.ofAnyService.add(transport);
    const folded = foldDestinations(all);
    this.texts = new Set(folded.map(destinationText));
    this.groups = new Map(
      [...Map.groupBy(folded, groupKey)].map(([key, group]) => [
        key,
        new Map(group.map((each) => [destinationText(each), each])),
      ]),
    );
  }
}

function groupKey({ transport, service, network }: Destination): string {
  return `${transport} ${service} ${network.address.length}`;
}
