// What the configuration leaves out of the events of the network, as pidtree-bcc's filters do, and that the bytes for the
// kernel's maps mean the same.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseConfig } from "../../../src/config/config-file.ts";
import type { NetworkEvent } from "../../../src/sensor/event.ts";
import {
  type FilterMaps,
  filterMaps,
  keyBits,
  trieKey,
  trieValue,
} from "../../../src/sensor/network/filter-maps.ts";
import {
  filteredEndpoint,
  isFiltered,
  type NetworkFilters,
  networkFilters,
  watchedKinds,
} from "../../../src/sensor/network/filters.ts";
import { type NetworkKind, networkKinds } from "../../../src/vocabulary/event-kinds.ts";
import { parseIpv4, parseIpv6 } from "../../../src/vocabulary/ip-address.ts";

function filters(network: string): NetworkFilters {
  const result = parseConfig(`network: ${network}`, "config.yaml");
  if (!result.ok) throw new Error(result.errors.map(({ message }) => message).join("\n"));
  return networkFilters(result.config.network);
}

const socket = {
  source: "ebpf",
  time: 0,
  pid: 1,
  startTicks: 1,
  uid: 0,
  socket: 1,
  denied: false,
} as const;

function event(kind: NetworkKind, address: string, port: number, transport: "tcp" | "udp"): NetworkEvent {
  const family = address.includes(":") ? "ipv6" : "ipv4";
  return kind === "listen"
    ? { ...socket, kind, transport, family, localAddress: address, localPort: port, found: false }
    : {
        ...socket,
        kind,
        transport,
        family,
        peerAddress: address,
        peerPort: port,
        localAddress: undefined,
        localPort: undefined,
      };
}

const connect = (address: string, port: number) => event("connect", address, port, "tcp");

describe("a network is left out", () => {
  const network = (entry: string) => filters(`{ connect: { ignore_networks: [${entry}] } }`);

  test("with all its ports", () => {
    const set = network("10.0.0.0/8");
    expect(isFiltered(set, connect("10.1.2.3", 80))).toBeTrue();
    expect(isFiltered(set, connect("11.1.2.3", 80))).toBeFalse();
  });

  test("except for some ports", () => {
    const set = network("{ networks: [10.0.0.0/8, fd00::/8], except_ports: [80, 8000-8010] }");
    expect(isFiltered(set, connect("10.1.2.3", 80))).toBeFalse();
    expect(isFiltered(set, connect("10.1.2.3", 8010))).toBeFalse();
    expect(isFiltered(set, connect("10.1.2.3", 8011))).toBeTrue();
    expect(isFiltered(set, connect("fd00::1", 80))).toBeFalse();
    expect(isFiltered(set, connect("fd00::1", 81))).toBeTrue();
  });

  test("with some ports only", () => {
    const set = network("{ networks: [10.0.0.0/8], ports: [80] }");
    expect(isFiltered(set, connect("10.1.2.3", 80))).toBeTrue();
    expect(isFiltered(set, connect("10.1.2.3", 81))).toBeFalse();
  });

  test("but not a smaller one in it that has an entry of its own: the longest prefix decides", () => {
    const set = network("10.0.0.0/8, { networks: [10.1.0.0/16], ports: [80] }");
    expect(isFiltered(set, connect("10.1.2.3", 81))).toBeFalse();
    expect(isFiltered(set, connect("10.2.2.3", 81))).toBeTrue();
  });

  test("in whatever notation: bits behind the prefix do not count, and IPv4-mapped addresses are IPv4", () => {
    expect(isFiltered(network("10.9.9.9/8"), connect("10.1.2.3", 80))).toBeTrue();
    expect(isFiltered(network("'::ffff:10.0.0.0/104'"), connect("10.1.2.3", 80))).toBeTrue();
    expect(isFiltered(network("'::/0'"), connect("10.1.2.3", 80))).toBeFalse();
  });
});

describe("ports are left out whatever the network", () => {
  test("some", () => {
    const set = filters("{ listen: { ignore_ports: [22222, 30000-40000] } }");
    expect(isFiltered(set, event("listen", "0.0.0.0", 22_222, "tcp"))).toBeTrue();
    expect(isFiltered(set, event("listen", "::", 40_000, "tcp"))).toBeTrue();
    expect(isFiltered(set, event("listen", "::", 40_001, "tcp"))).toBeFalse();
  });

  test("all but some", () => {
    const set = filters("{ send: { only_ports: [53, 5000-5010], ignore_ports: [5005] } }");
    const send = (port: number) => isFiltered(set, event("send", "192.0.2.1", port, "udp"));
    expect([53, 54, 5004, 5005, 5006].map(send)).toEqual([false, true, false, true, false]);
  });
});

test("loopback is left out unless it is asked for, or has an entry of its own", () => {
  const local = [connect("127.0.0.1", 80), connect("::1", 80)];
  const leftOut = (network: string) => local.map((each) => isFiltered(filters(network), each));
  expect(leftOut("{}")).toEqual([true, true]);
  expect(leftOut("{ connect: { loopback: true } }")).toEqual([false, false]);
  expect(
    leftOut("{ connect: { ignore_networks: [{ networks: [127.0.0.1], except_ports: [80] }] } }"),
  ).toEqual([false, true]);
  expect(isFiltered(filters("{}"), connect("127.1.2.3", 80))).toBeTrue();
});

test("0.0.0.0 and :: are this host where a process connects, and every address where one listens", () => {
  const unwatched = filters("{}");
  expect(isFiltered(unwatched, connect("0.0.0.0", 80))).toBeTrue();
  expect(isFiltered(unwatched, connect("::", 80))).toBeTrue();
  expect(isFiltered(unwatched, event("listen", "0.0.0.0", 80, "tcp"))).toBeFalse();
  expect(isFiltered(filters("{ connect: { loopback: true } }"), connect("0.0.0.0", 80))).toBeFalse();
});

test("each kind has filters of its own", () => {
  const set = filters("{ connect: { ignore_networks: [10.0.0.0/8], transports: [tcp] } }");
  expect(isFiltered(set, event("connect", "192.0.2.1", 53, "udp"))).toBeTrue();
  expect(isFiltered(set, event("send", "10.1.2.3", 53, "udp"))).toBeFalse();
  expect(isFiltered(set, event("listen", "10.1.2.3", 53, "udp"))).toBeFalse();
});

test("a kind is watched if a rule asks for it or the configuration lists it, and never if all are off", () => {
  const rules = new Set<NetworkKind>(["listen"]);
  expect(watchedKinds("rules", rules)).toEqual(["listen"]);
  expect(watchedKinds("rules", new Set())).toEqual([]);
  expect(watchedKinds(["connect"], rules)).toEqual(["connect", "listen"]);
  expect(watchedKinds("off", rules)).toEqual([]);
});

/** What the kernel makes of the maps: the longest prefix that fits the key, then its ranges; and the bitmap. */
function isFilteredByMaps(maps: FilterMaps, seen: NetworkEvent): boolean {
  const { address, port } = filteredEndpoint(seen);
  const bytes = parseIpv4(address) ?? parseIpv6(address) ?? [];
  if (((maps.ports[seen.kind][port >> 3] ?? 0) & (1 << (port & 7))) !== 0) return true;
  const isIpv4 = bytes.length === 4;
  const data = [networkKinds.indexOf(seen.kind), 0, isIpv4 ? 4 : 6, 0, ...bytes];
  const bit = (of: readonly number[] | Uint8Array, i: number) => ((of[i >> 3] ?? 0) >> (7 - (i & 7))) & 1;
  let longest = -1;
  let value: DataView | undefined;
  for (const entry of maps.networks) {
    const length = new DataView(entry.key.buffer).getUint32(trieKey.prefixLength, true);
    const key = entry.key.subarray(trieKey.kind);
    if (length <= longest || length > (isIpv4 ? keyBits.ipv4 : keyBits.ipv6)) continue;
    if (!Array.from({ length }, (_, i) => bit(key, i) === bit(data, i)).every(Boolean)) continue;
    longest = length;
    value = new DataView(entry.value.buffer);
  }
  if (value === undefined) return false;
  const onlyRanges = value.getUint16(trieValue.onlyRanges, true) === 1;
  for (let i = 0; i < value.getUint16(trieValue.count, true); i += 1) {
    const at = trieValue.ranges + 4 * i;
    if (port >= value.getUint16(at, true) && port <= value.getUint16(at + 2, true)) return onlyRanges;
  }
  return !onlyRanges;
}

test("the bytes of the maps leave out exactly what the filters do", () => {
  const bytes = fc.constantFrom(0, 1, 10, 127, 128, 255);
  const ipv4 = fc.array(bytes, { minLength: 4, maxLength: 4 }).map((all) => all.join("."));
  const ipv6 = fc.constantFrom("::", "::1", "fd00::1", "fd00:1::2", "2001:db8::ff", "fe80::1");
  const address = fc.oneof(ipv4, ipv6);
  const port = fc.oneof(fc.integer({ min: 0, max: 65_535 }), fc.constantFrom(0, 7, 8, 80, 443, 65_535));
  const ports = fc.array(
    fc.tuple(port, port).map(([a, b]) => `"${Math.min(a, b)}-${Math.max(a, b)}"`),
    { maxLength: 8 },
  );
  const entry = fc
    .tuple(address, fc.integer({ min: 0, max: 128 }), fc.constantFrom("ports", "except_ports"), ports)
    .map(([text, bits, key, list]) => {
      const prefix = text.includes(":") ? bits : bits % 33;
      return `{ networks: ["${text}/${prefix}"], ${key}: [${list.join()}] }`;
    });
  const section = fc
    .tuple(fc.array(entry, { maxLength: 4 }), ports, fc.option(ports), fc.boolean())
    .map(
      ([entries, ignored, only, loopback]) =>
        `{ ignore_networks: [${entries.join()}], ignore_ports: [${ignored.join()}], loopback: ${loopback}${
          only === null ? "" : `, only_ports: [${only.join()}]`
        } }`,
    );
  const kind = fc.constantFrom(...networkKinds);
  fc.assert(
    fc.property(
      kind,
      section,
      fc.array(fc.tuple(address, port), { minLength: 1, maxLength: 20 }),
      (...all) => {
        const [of, text, endpoints] = all;
        const parsed = parseConfig(`network: { ${of}: ${text} }`, "config.yaml");
        // The same network twice is refused; the rest of what is generated is valid.
        fc.pre(parsed.ok);
        const set = networkFilters(parsed.config.network);
        const maps = filterMaps(set);
        for (const [where, number] of endpoints) {
          const seen = event(of, where, number, "udp");
          expect([where, number, isFilteredByMaps(maps, seen)]).toEqual([
            where,
            number,
            isFiltered(set, seen),
          ]);
        }
      },
    ),
    { numRuns: 300 },
  );
});
