// Converts the configuration of pidtree-bcc to the section `network`. What each of its settings becomes is written down
// in docs/pidtree-bcc.md.
import type * as v from "valibot";
import type { networkEntries } from "../network.ts";
import {
  type PidtreeConfig,
  type PidtreeFilter,
  type PidtreeListenProbe,
  type PidtreeProbe,
  prefixOfMask,
} from "./schema.ts";

/** The section as it stands in a file. */
type Section = {
  readonly [Name in keyof typeof networkEntries]?: v.InferInput<(typeof networkEntries)[Name]>;
};

export interface Converted {
  readonly network: Section;
  /** What has no equivalent or another meaning: each a sentence for the user, with the name of the setting. */
  readonly notes: readonly string[];
}

const probes = ["tcp_connect", "udp_session", "net_listen"] as const;
type ProbeName = (typeof probes)[number];

/** The least of `network.listen.snapshot_interval`. */
const LEAST_SNAPSHOT_SECONDS = 60;

/** What each probe may have beside what all have. */
const ownKeys: Readonly<Record<ProbeName, readonly string[]>> = {
  tcp_connect: [],
  udp_session: ["session_max_duration"],
  net_listen: ["snapshot_periodicity", "protocols", "same_namespace_only", "exclude_random_bind"],
};
const commonKeys = ["filters", "excludeports", "includeports", "container_labels", "plugins"];

export function convertPidtree(config: PidtreeConfig): Converted {
  const { tcp_connect: tcp, udp_session: udp, net_listen: listen } = config;
  const notes = [...unknownProbes(config), ...probes.flatMap((name) => notesOn(name, config[name]))];
  if (tcp !== undefined && udp !== undefined && !isSame(filterSettings(tcp), filterSettings(udp)))
    notes.push("udp_session: network.connect has the filters of tcp_connect for connected UDP sockets too");
  const connect = tcp ?? udp;
  const hostFiles = [...new Set([tcp, udp, listen].flatMap(hostFilesOf))];
  const watch = [
    ...(connect === undefined ? [] : (["connect"] as const)),
    ...(udp === undefined ? [] : (["send"] as const)),
    ...(listen === undefined ? [] : (["listen"] as const)),
  ];
  return {
    network: {
      watch: watch.length === 0 ? "rules" : watch,
      ...(connect === undefined
        ? {}
        : { connect: { transports: connectTransports(tcp, udp), ...filterSettings(connect) } }),
      ...(udp === undefined ? {} : { send: { ...filterSettings(udp), ...sessionSettings(udp) } }),
      ...(listen === undefined ? {} : { listen: { ...filterSettings(listen), ...listenSettings(listen) } }),
      ...(hostFiles.length === 0 ? {} : { host_files: hostFiles }),
    },
    notes,
  };
}

function connectTransports(tcp: PidtreeProbe | undefined, udp: PidtreeProbe | undefined): ("tcp" | "udp")[] {
  return [...(tcp === undefined ? [] : (["tcp"] as const)), ...(udp === undefined ? [] : (["udp"] as const))];
}

function listenSettings(probe: PidtreeListenProbe) {
  const { snapshot_periodicity: seconds, protocols = ["tcp"] } = probe;
  return {
    transports: (["tcp", "udp"] as const).filter((transport) => protocols.includes(transport)),
    random_ports: probe.exclude_random_bind !== true,
    host_namespace_only: probe.same_namespace_only === true,
    snapshot_interval: (seconds ?? 0) > 0 ? intervalText(seconds ?? 0, LEAST_SNAPSHOT_SECONDS) : "off",
  };
}

function sessionSettings({ session_max_duration: seconds }: PidtreeProbe) {
  return typeof seconds === "number" ? { max_duration: intervalText(seconds, 1) } : {};
}

/** Within the limits of the settings: at least `least` seconds and at most 30 days. */
function intervalText(seconds: number, least: number): string {
  const whole = Math.round(Math.min(Math.max(seconds, least), 2_592_000));
  if (whole % 3_600 === 0) return `${whole / 3_600}h`;
  return whole % 60 === 0 ? `${whole / 60}m` : `${whole}s`;
}

function filterSettings({ filters, excludeports, includeports }: PidtreeProbe) {
  // A later filter for the same network replaces an earlier one, as in the map of pidtree-bcc.
  const byNetwork = new Map((filters ?? []).map((filter) => [networkText(filter), filter]));
  const isWholeLoopback = isEveryPort(byNetwork.get("127.0.0.0/8"));
  const entries = [...byNetwork].filter(([network]) => !(isWholeLoopback && network === "127.0.0.0/8"));
  const alone = entries.filter(([, filter]) => isEveryPort(filter)).map(([network]) => network);
  const withPorts = entries
    .filter(([, filter]) => !isEveryPort(filter))
    .map(([network, { except_ports, include_ports }]) => ({
      networks: [network],
      ...(isEmpty(except_ports)
        ? { ports: [...(include_ports ?? [])] }
        : { except_ports: [...(except_ports ?? [])] }),
    }));
  const ignored = isEmpty(includeports) ? (excludeports ?? []) : [];
  return {
    ...(entries.length === 0 ? {} : { ignore_networks: [...alone, ...withPorts] }),
    ...(ignored.length === 0 ? {} : { ignore_ports: [...ignored] }),
    ...(isEmpty(includeports) ? {} : { only_ports: [...(includeports ?? [])] }),
    loopback: !isWholeLoopback,
  };
}

function networkText({ network, network_mask }: PidtreeFilter): string {
  const mask = network_mask.split(".").map(Number);
  const masked = network.split(".").map((byte, i) => Number(byte) & (mask[i] ?? 0));
  return `${masked.join(".")}/${prefixOfMask(network_mask) ?? 32}`;
}

function isEveryPort(filter: PidtreeFilter | undefined): boolean {
  return filter !== undefined && isEmpty(filter.except_ports) && isEmpty(filter.include_ports);
}

function isEmpty(ports: readonly (number | string)[] | null | undefined): boolean {
  return (ports ?? []).length === 0;
}

function hostFilesOf(probe: PidtreeProbe | undefined): readonly string[] {
  const plugin = probe?.plugins?.sourceipmap;
  return plugin?.enabled === false ? [] : (plugin?.hostfiles ?? []);
}

function unknownProbes(config: PidtreeConfig): string[] {
  return Object.keys(config)
    .filter((name) => !name.startsWith("_") && !probes.some((probe) => probe === name))
    .map((name) => `${name}: a probe of another package has no equivalent`);
}

function notesOn(name: ProbeName, probe: (PidtreeProbe & Partial<PidtreeListenProbe>) | undefined): string[] {
  if (probe === undefined) return [];
  const notes: string[] = [];
  const note = (key: string, text: string) => notes.push(`${name}.${key}: ${text}`);
  for (const key of Object.keys(probe))
    if (![...commonKeys, ...ownKeys[name]].includes(key)) note(key, "has no equivalent");
  if (!isEmpty(probe.includeports) && !isEmpty(probe.excludeports))
    note("excludeports", "is left out, because includeports takes precedence");
  const filters = probe.filters ?? [];
  for (const [i, filter] of filters.entries()) {
    const network = networkText(filter);
    if (filters.slice(i + 1).some((later) => networkText(later) === network))
      note(`filters[${i}]`, `is left out, because a later filter is for ${network} too`);
    if (!isEmpty(filter.except_ports) && !isEmpty(filter.include_ports))
      note(`filters[${i}].include_ports`, "is left out, because except_ports takes precedence");
  }
  if ((probe.container_labels ?? []).length > 0)
    note(
      "container_labels",
      "has no equivalent: rules and queries use container.id and container.image.name",
    );
  for (const protocol of probe.protocols ?? [])
    if (protocol !== "tcp" && protocol !== "udp") note("protocols", `${protocol} has no equivalent`);
  for (const [plugin, settings] of Object.entries(probe.plugins ?? {}))
    if (settings?.enabled !== false) notes.push(...notesOnPlugin(`${name}.plugins.${plugin}`, plugin));
  return notes;
}

function notesOnPlugin(place: string, plugin: string): readonly string[] {
  if (plugin === "loginuidmap" || plugin === "identityplugin") return [];
  if (plugin !== "sourceipmap") return [`${place}: a plugin of another package has no equivalent`];
  return [
    `${place}: its files name the peer in destination.name; the container that connects is in container.id and container.image.name`,
  ];
}

function isSame(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
