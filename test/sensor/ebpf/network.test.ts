// Records of the network programs, made by hand, into events; and the UDP sessions that the sensor keeps.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { UpdateMode } from "../../../src/linux/bpf/map.ts";
import { Decoder } from "../../../src/sensor/ebpf/decode.ts";
import { commonLayout, recordKinds } from "../../../src/sensor/ebpf/layout.ts";
import { KernelDenials } from "../../../src/sensor/ebpf/network/denials.ts";
import {
  closeLayout,
  DENY_BY_USER,
  deniedProcess,
  networkPage,
  sessionValue,
  socketLayout,
  socketStates,
  transportNumbers,
} from "../../../src/sensor/ebpf/network/layout.ts";
import { UdpSessions } from "../../../src/sensor/ebpf/network/sessions.ts";
import type { CloseEvent, ProcessEvent } from "../../../src/sensor/event.ts";
import { formatAddress } from "../../../src/vocabulary/ip-address.ts";
import { record } from "./records.ts";

interface SocketRecord {
  readonly kind: "connect" | "send" | "listen";
  readonly transport?: keyof typeof transportNumbers;
  readonly family?: 4 | 6;
  readonly socket?: bigint;
  readonly time?: bigint;
  readonly peer?: readonly number[];
  readonly peerPort?: number;
  readonly local?: readonly number[];
  readonly localPort?: number;
  readonly denied?: boolean;
}

function socketRecord(from: SocketRecord): Uint8Array {
  const bytes = record(
    socketLayout.size,
    {
      [commonLayout.kind]: recordKinds[from.kind],
      [commonLayout.pid]: 77,
      [socketLayout.uid]: 33,
      [socketLayout.peerPort]: (from.peerPort ?? 0) | ((from.localPort ?? 0) << 16),
    },
    {
      [commonLayout.time]: from.time ?? 5n,
      [socketLayout.socket]: from.socket ?? 9n,
      [socketLayout.start]: 1_230_000_000n,
    },
  );
  bytes[socketLayout.family] = from.family ?? 4;
  bytes[socketLayout.transport] = transportNumbers[from.transport ?? "tcp"];
  bytes[socketLayout.denied] = from.denied === true ? 1 : 0;
  bytes.set(from.peer ?? [], socketLayout.peer);
  bytes.set(from.local ?? [], socketLayout.local);
  return bytes;
}

function closeRecord(state: number, error: number, transport: keyof typeof transportNumbers = "tcp") {
  return record(
    closeLayout.size,
    {
      [commonLayout.kind]: recordKinds.close,
      [commonLayout.pid]: 77,
      [closeLayout.state]: state,
      [closeLayout.error]: error,
      [closeLayout.transport]: transportNumbers[transport],
    },
    { [commonLayout.time]: 1_000n, [closeLayout.socket]: 9n, [closeLayout.opened]: 400n },
  );
}

function decode(bytes: Uint8Array, sessions?: UdpSessions): ProcessEvent[] {
  const events: ProcessEvent[] = [];
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2);
  new Decoder({ audit: true, cgroups: true, sessions }).decode(bytes, words, 0, bytes.length, (event) =>
    events.push(event),
  );
  return events;
}

describe("a record of a socket", () => {
  test("is an event with process, user, transport, addresses and ports", () => {
    const bytes = socketRecord({
      kind: "connect",
      peer: [192, 0, 2, 7],
      peerPort: 443,
      local: [10, 0, 0, 1],
      localPort: 40_000,
    });
    expect(decode(bytes)).toEqual([
      {
        kind: "connect",
        source: "ebpf",
        time: 5,
        pid: 77,
        startTicks: 123,
        uid: 33,
        transport: "tcp",
        family: "ipv4",
        socket: 9,
        denied: false,
        peerAddress: "192.0.2.7",
        peerPort: 443,
        localAddress: "10.0.0.1",
        localPort: 40_000,
      },
    ]);
  });

  test("has no local address or port unless the socket is bound", () => {
    for (const family of [4, 6] as const)
      expect(decode(socketRecord({ kind: "connect", family, peer: [32, 1] }))).toMatchObject([
        { localAddress: undefined, localPort: undefined },
      ]);
    const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1];
    expect(decode(socketRecord({ kind: "send", peer: [10, 0, 0, 2], local: mapped }))).toMatchObject([
      { localAddress: "10.0.0.1" },
    ]);
  });

  test("has every address and port as the kernel has it", () => {
    const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const port = fc.integer({ min: 0, max: 65_535 });
    const cases = fc.record({ isIpv4: fc.boolean(), bytes: bytes16, port, denied: fc.boolean() });
    fc.assert(
      fc.property(cases, ({ isIpv4, bytes, port, denied }) => {
        const local = [...bytes.subarray(0, isIpv4 ? 4 : 16)];
        const family = isIpv4 ? 4 : 6;
        const from = { kind: "listen", transport: "udp", family, local, localPort: port, denied } as const;
        const [event] = decode(socketRecord(from));
        expect(event).toMatchObject({
          kind: "listen",
          transport: "udp",
          family: isIpv4 ? "ipv4" : "ipv6",
          localAddress: formatAddress(local),
          localPort: port,
          denied,
          found: false,
        });
      }),
    );
  });
});

describe("the record of an end", () => {
  const { connecting, sent, established } = socketStates;
  const [EPIPE, ECONNRESET, ETIMEDOUT, ECONNREFUSED] = [32, 104, 110, 111];
  const cases: readonly (readonly [string, number, number, string])[] = [
    ["established, and ended in order", connecting | sent | established, 0, "established"],
    ["established, and reset by the peer", connecting | sent | established, ECONNRESET, "reset"],
    ["established, and reset while it was closing", connecting | sent | established, EPIPE, "reset"],
    ["established, and no answer any more", connecting | sent | established, ETIMEDOUT, "reset"],
    ["never answered", connecting | sent, ETIMEDOUT, "timed_out"],
    ["refused", connecting | sent, ECONNREFUSED, "refused"],
    ["given up before there was an answer", connecting | sent, 0, "closed"],
    ["of which no packet was sent", connecting, 0, "closed"],
  ];
  for (const [text, state, error, result] of cases)
    test(`of a connection that was ${text}: ${result}`, () => {
      expect(decode(closeRecord(state, error))).toEqual([
        {
          kind: "close",
          source: "ebpf",
          time: 1_000,
          socket: 9,
          pid: 77,
          peerAddress: undefined,
          peerPort: undefined,
          result,
          durationNs: 600,
          count: undefined,
        },
      ] as ProcessEvent[]);
    });

  test("of a connected UDP socket has no result", () => {
    expect(decode(closeRecord(connecting, ECONNREFUSED, "udp"))).toMatchObject([{ result: "closed" }]);
  });
});

describe("UDP sessions", () => {
  /** A kernel whose sessions all had `count` datagrams, the last at `last`. */
  function kernel(last: number, count: number) {
    const deleted: string[] = [];
    return {
      deleted,
      lookup: (_key: Uint8Array, value: Uint8Array) => {
        const view = new DataView(value.buffer);
        view.setBigUint64(sessionValue.last, BigInt(last), true);
        view.setBigUint64(sessionValue.count, BigInt(count), true);
        return true;
      },
      delete: (key: Uint8Array) => deleted.push(key.join()) > 0,
    };
  }

  const send = (peer: number, socket = 9n) =>
    socketRecord({
      kind: "send",
      transport: "udp",
      socket,
      peer: [10, 0, peer >> 8, peer & 255],
      peerPort: 53,
    });

  test("end with their socket: each with its peer, its datagrams and its time", () => {
    const map = kernel(500, 3);
    const sessions = new UdpSessions(map, 100);
    for (const peer of [1, 2, 1]) decode(send(peer), sessions);
    const ends = decode(closeRecord(socketStates.sessions, 0, "udp"), sessions);
    const common = { kind: "close", socket: 9, result: "closed", count: 3, durationNs: 995 };
    expect(ends).toMatchObject([
      { ...common, peerAddress: "10.0.0.1", peerPort: 53 },
      { ...common, peerAddress: "10.0.0.2", peerPort: 53 },
    ]);
    expect(new Set(map.deleted).size).toBe(2);
    expect(decode(closeRecord(socketStates.sessions, 0, "udp"), sessions)).toEqual([]);
  });

  test("end after a minute without a datagram, at the time of the last one", () => {
    const ends: CloseEvent[] = [];
    const sessions = new UdpSessions(kernel(2e9, 7), 100);
    decode(send(1), sessions);
    sessions.endOverdue(61e9, (event) => ends.push(event));
    expect(ends).toEqual([]);
    // The round has ended; the next call begins another.
    sessions.endOverdue(62e9, (event) => ends.push(event));
    sessions.endOverdue(63e9, (event) => ends.push(event));
    expect(ends).toMatchObject([{ time: 2e9, durationNs: 2e9 - 5, count: 7 }]);
  });

  test("end after the longest time that is set, and begin anew with the next datagram", () => {
    const ends: CloseEvent[] = [];
    const map = kernel(119e9, 7);
    const sessions = new UdpSessions(map, 100);
    sessions.longestNs = 120e9;
    decode(send(1), sessions);
    const endAt = (now: number) => {
      for (let i = 0; i < 2; i += 1) sessions.endOverdue(now, (event) => ends.push(event));
    };
    endAt(119e9);
    expect(ends).toEqual([]);
    endAt(121e9);
    expect(ends).toMatchObject([{ time: 119e9, count: 7 }]);
    expect(map.deleted).toHaveLength(1);
    decode(send(1), sessions);
    expect(decode(closeRecord(socketStates.sessions, 0, "udp"), sessions)).toHaveLength(1);
  });

  test("of a socket that sends to thousands of peers, or of thousands of sockets, are kept up to a limit", () => {
    const sessions = new UdpSessions(kernel(0, 1), 300);
    for (let peer = 0; peer < 1000; peer += 1) decode(send(peer), sessions);
    expect(decode(closeRecord(socketStates.sessions, 0, "udp"), sessions)).toHaveLength(256);
    for (let socket = 10n; socket < 1000n; socket += 1n) decode(send(1, socket), sessions);
    const ends: CloseEvent[] = [];
    for (let step = 0; step < 100; step += 1) sessions.endOverdue(100e9, (event) => ends.push(event));
    expect(ends).toHaveLength(300);
  });

  test("that were denied have no end", () => {
    const sessions = new UdpSessions(kernel(0, 1), 100);
    decode(socketRecord({ kind: "send", transport: "udp", denied: true }), sessions);
    expect(decode(closeRecord(socketStates.sessions, 0, "udp"), sessions)).toEqual([]);
  });
});

describe("what a process is denied", () => {
  /** A map as the kernel has them. */
  function fakeMap() {
    const elements = new Map<string, Uint8Array>();
    return {
      elements,
      lookup(key: Uint8Array, value: Uint8Array) {
        const found = elements.get(key.join());
        if (found !== undefined) value.set(found);
        return found !== undefined;
      },
      update(key: Uint8Array, value: Uint8Array, mode?: UpdateMode) {
        this.onUpdate();
        const isThere = elements.has(key.join());
        if (isThere ? mode === "ifAbsent" : mode === "ifPresent") return false;
        elements.set(key.join(), value.slice());
        return true;
      },
      /** Called before each update: what another CPU does just then. */
      onUpdate: () => {},
      set: (key: Uint8Array, value: Uint8Array) => void elements.set(key.join(), value.slice()),
      delete: (key: Uint8Array) => elements.delete(key.join()),
      keys: () => [...elements.keys()].map((key) => Uint8Array.from(key.split(",").map(Number))),
    };
  }

  function newPage() {
    const { buffer } = new BigUint64Array(networkPage.size / 8);
    return { words: new Uint32Array(buffer), counters: new BigUint64Array(buffer) };
  }

  function made() {
    const deniedProcesses = fakeMap();
    const deniedNetworks = fakeMap();
    const denials = new KernelDenials({ deniedProcesses, deniedNetworks }, newPage(), 15_000);
    return {
      denials,
      map: deniedProcesses,
      processes: deniedProcesses.elements,
      networks: deniedNetworks.elements,
    };
  }

  const sets = { set: 1, afterExec: 1 };
  const network = { address: [10, 0, 0, 0], prefix: 8 };
  const ports = { mode: "except", ranges: [] } as const;
  const toTen = { kind: "connect", transport: "tcp", network, ports } as const;

  /** As the kernel does at the fork of the next process with the pid. Returns its entry. */
  function inheritAnew(processes: Map<string, Uint8Array>): Uint8Array {
    const [key = "", value = new Uint8Array()] = [...processes][0] ?? [];
    const inherited = new Uint8Array(value).fill(7, 0, 6);
    processes.set(key, inherited);
    return inherited;
  }

  test("is forgotten with its exit, also if it was assigned after that", () => {
    const { denials, processes } = made();
    denials.assign({ pid: 5, startTicks: 100, execId: 1 }, sets);
    denials.assign({ pid: 6, startTicks: 100, execId: 1 }, sets);
    denials.exited(5);
    denials.exited(7);
    expect(processes.size).toBe(1);
  });

  test("stays if another process has the pid by then", () => {
    const { denials, processes } = made();
    denials.assign({ pid: 5, startTicks: 100, execId: 1 }, sets);
    inheritAnew(processes);
    denials.exited(5);
    expect(processes.size).toBe(1);
  });

  test("is left alone by a late assignment of the process that had the pid before", () => {
    const { denials, map, processes } = made();
    const first = { pid: 5, startTicks: 100, execId: 1 };
    denials.assign(first, sets);
    const inherited = inheritAnew(processes);
    expect(denials.assign(first, { set: 2, afterExec: 2 })).toBe(true);
    denials.assign(first, { set: 0, afterExec: 0 });
    expect([...processes.values()]).toEqual([inherited]);

    // The fork comes between the comparison and the assignment.
    processes.clear();
    map.onUpdate = () => void processes.set([5, 0, 0, 0, 0, 0, 0, 0].join(), inherited);
    expect(denials.assign(first, sets)).toBe(true);
    expect([...processes.values()]).toEqual([inherited]);
  });

  test("is renewed in a new epoch, and not written again within one", () => {
    const { denials, map } = made();
    let updates = 0;
    map.onUpdate = () => {
      updates += 1;
    };
    denials.setEpoch(1);
    const process = { pid: 5, startTicks: 100, execId: 1 };
    denials.assign(process, sets);
    denials.assign(process, sets);
    expect([updates, denials.renewed]).toEqual([1, 0]);
    denials.setEpoch(2);
    denials.assign(process, sets);
    expect([updates, denials.renewed]).toEqual([2, 1]);
  });

  test("is taken back by sets of nothing, and a set by its removal", () => {
    const { denials, processes, networks } = made();
    denials.define(1, [toTen, { kind: "send", transport: "udp", network, ports }]);
    denials.define(2, [toTen]);
    expect(networks.size).toBe(3);
    denials.remove(1);
    expect(networks.size).toBe(1);
    denials.assign({ pid: 5, startTicks: 100, execId: 1 }, sets);
    denials.assign({ pid: 5, startTicks: 100, execId: 1 }, { set: 0, afterExec: 0 });
    expect(processes.size).toBe(0);
  });

  test("may depend on the user: each range of users has its own set, and is taken back with the whole", () => {
    const { denials, map, processes, networks } = made();
    const network = { address: [10, 0, 0, 0], prefix: 8 };
    const ports = { mode: "except", ranges: [] } as const;
    const users = { first: 33, last: 33 };
    denials.define(1, [
      { kind: "connect", transport: "tcp", network, ports, users },
      { kind: "send", transport: "udp", network, ports },
    ]);
    // Root to 32, 33 and all others: one network, two and one; and the prefixes of each range.
    expect(networks.size).toBe(1 + 2 + 1 + 2 + 1 + 30);
    denials.assign({ pid: 5, startTicks: 100, execId: 1 }, sets);
    const value = new Uint8Array(deniedProcess.size);
    map.lookup(Uint8Array.from([5, 0, 0, 0, 0, 0, 0, 0]), value);
    expect(new DataView(value.buffer).getUint32(deniedProcess.set, true)).toBe(1 | DENY_BY_USER);
    expect(processes.size).toBe(1);
    denials.remove(1);
    expect(networks.size).toBe(0);
  });

  test("is tried once, by `check` or before the first set", () => {
    for (const isChecked of [true, false]) {
      const { denials } = made();
      let calls = 0;
      denials.findProblem = () => {
        calls += 1;
        return "nothing is kept for a socket";
      };
      if (isChecked) denials.check();
      else denials.define(1, [toTen]);
      expect(denials.problem).toBe("nothing is kept for a socket");
      denials.define(2, [toTen]);
      denials.check();
      expect(calls).toBe(1);
    }
  });

  test("by a process that has died holds beside the sets of the next one, until an epoch of that is in force", () => {
    const maps = { deniedProcesses: fakeMap(), deniedNetworks: fakeMap() };
    const page = newPage();
    const first = new KernelDenials(maps, page, 15_000);
    first.setEpoch(7);
    first.define(3, [toTen]);
    first.assign({ pid: 5, startTicks: 100, execId: 1 }, { set: 3, afterExec: 3 });
    const second = new KernelDenials(maps, page, 15_000, true);
    second.setEpoch(1);
    second.define(3, [toTen]);
    second.assign({ pid: 6, startTicks: 100, execId: 1 }, { set: 3, afterExec: 3 });
    expect(maps.deniedNetworks.elements.size).toBe(2);
    const [old, young] = [...maps.deniedProcesses.elements.values()].map(
      (value) => new DataView(value.buffer),
    );
    expect(young?.getUint32(deniedProcess.set, true)).not.toBe(old?.getUint32(deniedProcess.set, true));
    expect(young?.getUint32(deniedProcess.epoch, true)).toBeGreaterThan(
      old?.getUint32(deniedProcess.epoch, true) ?? 0,
    );
    expect(second.isInherited).toBe(true);
  });
});
