// The lines of `trace --network`: they have what the records of the same events have, whatever was described before.
import { describe, expect, test } from "bun:test";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { Process } from "../../src/forest/process.ts";
import { NetworkLines } from "../../src/offline/network-lines.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { records } from "../../src/report/records.ts";
import type { CloseEvent, ConnectEvent } from "../../src/sensor/event.ts";
import { factsOf, networkSubject } from "../../src/warden/network-subject.ts";
import { OpenSockets } from "../../src/warden/open-sockets.ts";
import type { NetworkActivity } from "../../src/warden/tracker.ts";
import type { LineageOfTest } from "../policy/helpers.ts";

const WALL = 1e18;
const stamp = (wallNs: number): string => `uid-${wallNs}`;
const inputs = {
  bootTimeMs: 1_700_000_000_000,
  userName: (uid: number) => (uid === 33 ? "www-data" : undefined),
  hostNameOf: (address: string) => (address === "10.0.0.7" ? "db.example" : null),
};

function processOf(...lineage: LineageOfTest): Process {
  const leaf = testSubject({ lineage }).lineage;
  const start = { startTicks: 100, startExact: true, time: 0 };
  return new Process(77, start, leaf, leaf.parent, 76, false);
}

function connect(more: Partial<ConnectEvent> = {}): ConnectEvent {
  return {
    kind: "connect",
    source: "ebpf",
    time: 5e9,
    pid: 77,
    startTicks: 100,
    uid: 33,
    transport: "tcp",
    family: "ipv4",
    socket: 9,
    denied: false,
    peerAddress: "10.0.0.7",
    peerPort: 443,
    localAddress: undefined,
    localPort: undefined,
    ...more,
  };
}

const activityOf = (process: Process, event: ConnectEvent): NetworkActivity => ({
  process,
  tree: treeOf(process.lineage),
  event,
});

/** What a line must have. */
function recordOf(activity: NetworkActivity): unknown {
  const { process, event } = activity;
  const subject = networkSubject(activity, factsOf(process, event.uid), WALL, inputs);
  return JSON.parse(JSON.stringify(records.connect({ ...subject }, stamp)));
}

describe.each([
  ["JSON", undefined],
  ["a format", (record: object) => `${JSON.stringify(record)}\n`],
])("as %s", (_, format) => {
  test("a line has all of its record: of the first event, of later ones, of another program and another user", () => {
    const lines = new NetworkLines({ ...inputs, stamp, format });
    const process = processOf("/usr/sbin/nginx", "/usr/bin/python3");
    const expectSame = (event: ConnectEvent) => {
      const activity = activityOf(process, event);
      const { text } = lines.line(activity, WALL);
      expect(text).toEndWith("}\n");
      expect(JSON.parse(text)).toEqual(recordOf(activity));
    };
    expectSame(connect());
    expectSame(connect({ time: 6e9, socket: 10, peerAddress: "::1", family: "ipv6", peerPort: 80 }));
    expectSame(connect({ uid: 0, denied: true }));
    process.lineage = testSubject({ lineage: ["/usr/sbin/nginx", "/usr/bin/curl"] }).lineage;
    expectSame(connect({ time: 7e9 }));
  });

  test("the line of an end has all of its record", () => {
    const lines = new NetworkLines({ ...inputs, stamp, format });
    const sockets = new OpenSockets();
    const process = processOf("/usr/sbin/nginx");
    for (const socket of [1, 2]) {
      sockets.opened(lines.line(activityOf(process, connect({ socket })), WALL).subject);
      const end: CloseEvent = {
        kind: "close",
        source: "ebpf",
        time: 8e9,
        socket,
        pid: 77,
        peerAddress: undefined,
        peerPort: undefined,
        result: "refused",
        durationNs: 1_000,
        count: undefined,
      };
      const opened = sockets.closed(end);
      if (opened === undefined) throw new Error("nothing was remembered");
      const record = records.close(end, opened, end.time + WALL, stamp);
      expect(JSON.parse(lines.endLine(end, opened, WALL))).toEqual(JSON.parse(JSON.stringify(record)));
      expect(record).toMatchObject({ "process.user.name": "www-data", "network.peer.port": 443 });
    }
  });
});
