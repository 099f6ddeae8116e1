// What each setting of the section `network` means.

import type { NetworkKind } from "../vocabulary/event-kinds.ts";
import type { Config } from "./config.ts";
import type { SettingRow } from "./setting-row.ts";

type Network = Config["network"];

/** `network.watch`, `network.connect.ignore_ports` and so on. */
export type NetworkSettingName =
  | `network.${Exclude<keyof Network, NetworkKind>}`
  | { readonly [S in NetworkKind]: `network.${S}.${keyof Network[S] & string}` }[NetworkKind];

const reload = { takesEffect: "reload" } as const;

const transports: SettingRow = {
  meaning: "which transports are watched. `tcp` includes Multipath TCP",
  example: "[tcp]",
  ...reload,
};

/** `of`: the address that counts, for example "the peer's address". */
const ignoreNetworks = (of: string): SettingRow => ({
  meaning: `networks that are left out, by ${of}: alone, or with \`networks\` and \`ports\` (only these ports are left out) or \`except_ports\` (all but these are). Of several networks that hold an address the longest prefix decides alone. An IPv4 network also holds the IPv4-mapped addresses of its own`,
  example: "[192.168.0.0/16, { networks: [10.0.0.0/8, fd00::/8], except_ports: [22, 8000-8999] }]",
  ...reload,
});

const ignorePorts = (of: string): SettingRow => ({
  meaning: `${of} that are left out, whatever the network`,
  example: "[53, 30000-40000]",
  ...reload,
});

const onlyPorts = (of: string): SettingRow => ({
  meaning: `the only ${of} that are watched. \`ignore_ports\` and \`ignore_networks\` still leave out some of them`,
  example: "[22, 443]",
  ...reload,
  unset: "all ports",
});

/** `also`: further addresses of this host. */
const loopback = (also = ""): SettingRow => ({
  meaning: `whether 127.0.0.0/8 and ::1${also} are watched. \`false\` is the same as these in \`ignore_networks\`; an entry there for the same or a longer prefix takes precedence`,
  example: "true",
  ...reload,
});
const ofPeers = " (and 0.0.0.0 and ::, which as a peer mean this host)";

export const networkSettings: Readonly<Record<NetworkSettingName, SettingRow>> = {
  "network.watch": {
    meaning:
      "which events of the network are watched. `rules`: the kinds that a rule in force is `on`. A list: these too, and each of their events is reported. `off`: none, and rules on them never match. What nobody watches costs nothing: its programs are not in the kernel",
    example: "[connect, listen]",
    ...reload,
  },
  "network.connect.transports": transports,
  "network.connect.ignore_networks": ignoreNetworks("the peer's address"),
  "network.connect.ignore_ports": ignorePorts("ports of the peer"),
  "network.connect.only_ports": onlyPorts("ports of the peer"),
  "network.connect.loopback": loopback(ofPeers),
  "network.send.ignore_networks": ignoreNetworks("the peer's address"),
  "network.send.ignore_ports": ignorePorts("ports of the peer"),
  "network.send.only_ports": onlyPorts("ports of the peer"),
  "network.send.loopback": loopback(ofPeers),
  "network.send.max_duration": {
    meaning:
      "how long a UDP session may last before its end is reported, and its next datagram begins another; `off`: until its socket is closed, or a minute without a datagram",
    example: "2m",
    ...reload,
  },
  "network.listen.transports": transports,
  "network.listen.ignore_networks": ignoreNetworks("the address that is listened on"),
  "network.listen.ignore_ports": ignorePorts("ports"),
  "network.listen.only_ports": onlyPorts("ports"),
  "network.listen.loopback": loopback(),
  "network.listen.random_ports": {
    meaning:
      "whether a UDP socket is watched whose port the kernel chose (bind(2) with port 0), as clients have it",
    example: "false",
    ...reload,
  },
  "network.listen.host_namespace_only": {
    meaning: "leave out sockets of other network namespaces than the warden's own, as containers have them",
    example: "true",
    ...reload,
  },
  "network.listen.snapshot_interval": {
    meaning:
      "how often everything that listens is looked for, beside the start: finds what began to listen unseen. `off`: only at the start",
    example: "12h",
    ...reload,
  },
  "network.learn_destinations": {
    meaning:
      "whether `baseline learn` learns where each tree connects and sends to, of the kinds that are watched. Rules name it as `destination.known`",
    example: "true",
    ...reload,
  },
  "network.host_files": {
    meaning:
      "files in the format of /etc/hosts, which give addresses their name in `destination.name`; the last file that has an address names it. Root's alone, like this file",
    example: "[/etc/hosts]",
    ...reload,
  },
};

export const networkSectionTitles: Readonly<Record<`network.${NetworkKind}`, string>> = {
  "network.connect": "TCP connections and connected UDP sockets",
  "network.send": "UDP sessions without a connection",
  "network.listen": "Listening sockets",
};
