// The configuration of pidtree-bcc becomes the section `network`; what it cannot become is named.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { parseConfig } from "../../../src/config/config-file.ts";
import { type Converted, convertPidtree } from "../../../src/config/pidtree/convert.ts";
import { parsePidtree, type ReadInclude } from "../../../src/config/pidtree/parse.ts";
import type { NetworkEvent } from "../../../src/sensor/event.ts";
import { isFiltered, type NetworkFilters, networkFilters } from "../../../src/sensor/network/filters.ts";

const nothing: ReadInclude = () => undefined;

function convert(yaml: string, read: ReadInclude = nothing): Converted {
  const parsed = parsePidtree(yaml, "pidtree.yml", read);
  if (!parsed.ok) throw new Error(parsed.errors.map(({ message }) => message).join("\n"));
  return convertPidtree(parsed.value);
}

function errors(yaml: string, read: ReadInclude = nothing): readonly string[] {
  const parsed = parsePidtree(yaml, "pidtree.yml", read);
  return parsed.ok ? [] : parsed.errors.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

function filters(yaml: string): NetworkFilters {
  const result = parseConfig(stringify({ network: convert(yaml).network }), "config.yaml");
  if (!result.ok) throw new Error(result.errors.map(({ message }) => message).join("\n"));
  return networkFilters(result.config.network);
}

const site = `
_private: &private
  - { subnet_name: ten, network: 10.0.0.0, network_mask: 255.0.0.0, description: "inside" }
  - { subnet_name: local, network: 127.0.0.0, network_mask: 255.0.0.0 }
tcp_connect:
  filters: *private
  container_labels: [tier=web]
  plugins:
    sourceipmap: { enabled: True, hostfiles: [/etc/hosts], attribute_key: from }
    loginuidmap: { enabled: True, top_level: False }
udp_session:
  filters: *private
net_listen:
  snapshot_periodicity: 43200
  protocols: [tcp]
  same_namespace_only: True
  exclude_random_bind: True
  excludeports: [22222, 30000-40000]
`;

test("probes, filters, ports, snapshots and files of hosts have their equivalents", () => {
  const { network, notes } = convert(site);
  expect(network).toEqual({
    watch: ["connect", "send", "listen"],
    connect: { transports: ["tcp", "udp"], ignore_networks: ["10.0.0.0/8"], loopback: false },
    send: { ignore_networks: ["10.0.0.0/8"], loopback: false },
    listen: {
      ignore_ports: [22_222, "30000-40000"],
      loopback: true,
      transports: ["tcp"],
      random_ports: false,
      host_namespace_only: true,
      snapshot_interval: "12h",
    },
    host_files: ["/etc/hosts"],
  });
  expect(notes.map((note) => note.split(":")[0])).toEqual([
    "tcp_connect.container_labels",
    "tcp_connect.plugins.sourceipmap",
  ]);
});

test("only the probes that it has are watched", () => {
  expect(convert("tcp_connect:\n").network).toEqual({
    watch: ["connect"],
    connect: { transports: ["tcp"], loopback: true },
  });
  expect(convert("{}").network).toEqual({ watch: "rules" });
});

test("includeports precede excludeports, and except_ports include_ports, as there", () => {
  const { network, notes } = convert(
    `udp_session: { includeports: [53], excludeports: [54], filters: [
       { network: 10.0.0.0, network_mask: 255.0.0.0, except_ports: [80], include_ports: [81] },
       { network: 10.0.0.1, network_mask: 255.0.0.0, include_ports: ["82-90"] } ] }`,
  );
  expect(network.send).toEqual({
    ignore_networks: [{ networks: ["10.0.0.0/8"], ports: ["82-90"] }],
    only_ports: [53],
    loopback: true,
  });
  expect(notes.map((note) => note.split(":")[0])).toEqual([
    "udp_session.excludeports",
    "udp_session.filters[0]",
    "udp_session.filters[0].include_ports",
  ]);
});

test("the longest time of a UDP session is kept", () => {
  const { network, notes } = convert("udp_session: { session_max_duration: 90 }\n");
  expect(network.send?.max_duration).toBe("90s");
  expect(notes).toEqual([]);
});

test("what has no equivalent is named", () => {
  const { notes } = convert(
    "dns_query: {}\nnet_listen: { protocols: [tcp, sctp], excludeaddress: [] }\ntcp_connect: { plugins: { ours: {}, off: { enabled: False } } }",
  );
  expect(notes.map((note) => note.split(":")[0])).toEqual([
    "dns_query",
    "tcp_connect.plugins.ours",
    "net_listen.excludeaddress",
    "net_listen.protocols",
  ]);
});

describe("files that are included", () => {
  const files: Readonly<Record<string, string>> = {
    "nets.yml": "- { network: 192.0.2.0, network_mask: 255.255.255.0 }\n",
    "circle.yml": "!include circle.yml\n",
    "broken.yml": "a: [\n",
  };
  const read: ReadInclude = (name) => {
    const text = files[name];
    return text === undefined ? undefined : { file: name, text };
  };

  test("are read", () => {
    expect(convert("tcp_connect:\n  filters: !include nets.yml\n", read).network.connect).toMatchObject({
      ignore_networks: ["192.0.2.0/24"],
    });
  });

  test("but not from the web, nor in a circle, nor if they are broken", () => {
    const message = (name: string) => errors(`tcp_connect:\n  filters: !include ${name}\n`, read);
    expect(message("https://example.org/nets.yml")).toEqual([
      "2:12 cannot include https://example.org/nets.yml: put its content here",
    ]);
    expect(message("circle.yml").length).toBe(1);
    expect(message("broken.yml")).toEqual([
      "2:12 broken.yml:2:1: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ]);
  });
});

test.each([
  ["tcp_connect: { filters: [{ network: ten, network_mask: 255.0.0.0 }] }", "must be an IPv4 address"],
  [
    "tcp_connect: { filters: [{ network: 10.0.0.0, network_mask: 255.0.255.0 }] }",
    "must be a mask such as 255.240.0.0",
  ],
  ["tcp_connect: { excludeports: [http] }", 'must be a port or a range such as "30000-40000"'],
  ["tcp_connect: a", "must be the settings of a probe"],
])("%s is refused with its place", (yaml, expected) => {
  const [error = ""] = errors(yaml);
  expect(error).toContain(expected);
  expect(error).toMatch(/^1:\d+ tcp_connect/);
});

test("the section leaves out what pidtree-bcc's map of prefixes leaves out", () => {
  const byte = fc.constantFrom(0, 1, 10, 127, 255);
  const address = fc.tuple(byte, byte, byte, byte).map((all) => all.join("."));
  const bits = fc.integer({ min: 0, max: 32 });
  const maskOf = (length: number) =>
    [0, 8, 16, 24].map((at) => (0xff00 >> Math.min(8, Math.max(0, length - at))) & 0xff).join(".");
  const ports = fc.array(fc.constantFrom<number | string>(0, 53, 80, "80-90", "1000-65535"), {
    maxLength: 3,
  });
  const filter = fc.record({ network: address, bits, except_ports: ports, include_ports: ports });
  const has = (list: readonly (number | string)[], port: number) =>
    list.some((each) => {
      const [low = "", high = low] = String(each).split("-");
      return port >= Number(low) && port <= Number(high);
    });
  const masked = (text: string, length: number) => {
    const mask = maskOf(length).split(".").map(Number);
    return text
      .split(".")
      .map((each, i) => Number(each) & (mask[i] ?? 0))
      .join(".");
  };
  fc.assert(
    fc.property(
      fc.array(filter, { maxLength: 5 }),
      ports,
      fc.array(fc.tuple(address, fc.constantFrom(0, 53, 80, 85, 1000, 65_535)), { minLength: 1 }),
      (list, excluded, endpoints) => {
        const set = filters(
          JSON.stringify({
            tcp_connect: {
              filters: list.map((each) => ({ ...each, network_mask: maskOf(each.bits) })),
              excludeports: excluded,
            },
          }),
        );
        for (const [peerAddress, peerPort] of endpoints) {
          const longest = list
            .filter((each) => masked(peerAddress, each.bits) === masked(each.network, each.bits))
            .reduce<(typeof list)[number] | undefined>(
              (a, b) => (a === undefined || b.bits >= a.bits ? b : a),
              undefined,
            );
          const byNetwork =
            longest !== undefined &&
            (longest.except_ports.length > 0
              ? !has(longest.except_ports, peerPort)
              : longest.include_ports.length === 0 || has(longest.include_ports, peerPort));
          const event: NetworkEvent = {
            kind: "connect",
            source: "ebpf",
            time: 0,
            pid: 1,
            startTicks: 1,
            uid: 0,
            transport: "tcp",
            family: "ipv4",
            socket: 1,
            denied: false,
            peerAddress,
            peerPort,
            localAddress: undefined,
            localPort: undefined,
          };
          expect(isFiltered(set, event)).toBe(byNetwork || has(excluded, peerPort));
        }
      },
    ),
    { numRuns: 100 },
  );
});
