// What the eBPF sensor reports of the network, however a process uses it. All traffic is on the loopback interface.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ForkEvent } from "../../src/sensor/event.ts";
import { parseNetwork } from "../../src/vocabulary/ip-network.ts";
import { whyNot } from "./ebpf-watch.ts";
import { Actor, ActorFolder, everything, NetworkWatch, noFilters } from "./network-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Ports of the listeners of these tests; nothing else listens there. */
const OPEN = 18_471;
const REFUSED = 18_472;
const OTHER = 18_473;

const ECONNREFUSED = 111;

describe.skipIf(reason !== undefined)("the network", () => {
  let folder: ActorFolder;
  let watch: NetworkWatch;
  let listener: Actor;

  beforeAll(async () => {
    folder = new ActorFolder();
    watch = new NetworkWatch();
    listener = await Actor.start(folder.actor);
    await listener.do(`listen :: ${OPEN}`);
  });

  afterAll(async () => {
    await listener[Symbol.asyncDispose]();
    watch[Symbol.dispose]();
    folder[Symbol.dispose]();
  });

  const start = () => Actor.start(folder.actor);

  test("a TCP connection is reported with its process, peer and user, and then how it ended", async () => {
    await using actor = await start();
    await actor.do(`tcp 127.0.0.1 ${OPEN}`);
    await actor.do(`tcp ::1 ${OPEN}`);
    const { errno } = await actor.do(`tcp 127.0.0.1 ${REFUSED}`);
    expect(errno).toBe(ECONNREFUSED);
    const fork = watch.of(actor.pid).find((event): event is ForkEvent => event.kind === "fork");
    expect(watch.network(actor.pid)).toMatchObject([
      {
        kind: "connect",
        transport: "tcp",
        family: "ipv4",
        peerAddress: "127.0.0.1",
        peerPort: OPEN,
        uid: 0,
        startTicks: fork?.startTicks,
        denied: false,
      },
      { kind: "connect", family: "ipv6", peerAddress: "::1", peerPort: OPEN },
      { kind: "connect", peerAddress: "127.0.0.1", peerPort: REFUSED },
    ]);
    const closes = await watch.closes(actor.pid, 3);
    expect(closes.map(({ result }) => result).toSorted()).toEqual(["established", "established", "refused"]);
  });

  test("the end of a connection names its socket and its time", async () => {
    await using actor = await start();
    await actor.do(`tcp 127.0.0.1 ${REFUSED}`);
    const [connect] = watch.network(actor.pid);
    const [close] = await watch.closes(actor.pid, 1);
    if (connect === undefined || close === undefined) throw new Error("not reported");
    expect(close.socket).toBe(connect.socket ?? 0);
    expect(close.durationNs).toBe(close.time - connect.time);
  });

  const ways = ["nonblock", "fastopen", "deferred", "mptcp", "uring"] as const;
  for (const way of ways)
    test(`one connection is one event, made by: ${way}`, async () => {
      await using actor = await start();
      for (const address of ["127.0.0.1", "::1"]) await actor.do(`${way} ${address} ${OPEN}`);
      expect(watch.network(actor.pid)).toMatchObject([
        { kind: "connect", transport: "tcp", peerAddress: "127.0.0.1", peerPort: OPEN },
        { kind: "connect", transport: "tcp", peerAddress: "::1", peerPort: OPEN },
      ]);
    });

  test("an IPv4 address that is mapped into IPv6 is the IPv4 address, for TCP and UDP", async () => {
    await using actor = await start();
    for (const how of ["tcp", "udpconnect", "udp"]) await actor.do(`${how} ::ffff:127.0.0.1 ${OPEN}`);
    for (const event of watch.network(actor.pid))
      expect(event).toMatchObject({ family: "ipv4", peerAddress: "127.0.0.1", peerPort: OPEN });
    expect(watch.network(actor.pid).map(({ kind, transport }) => `${kind} ${transport}`)).toEqual([
      "connect tcp",
      "connect udp",
      "send udp",
    ]);
  });

  test("a thread's connection is its process's", async () => {
    await using actor = await start();
    const { pid } = await actor.do(`thread tcp 127.0.0.1 ${REFUSED}`);
    expect(pid).toBe(actor.pid);
    expect(watch.network(pid)).toHaveLength(1);
  });

  test("a connection is of the process that calls connect, which need not have made the socket", async () => {
    await using actor = await start();
    const { pid } = await actor.do(`late 127.0.0.1 ${REFUSED}`);
    expect(pid).not.toBe(actor.pid);
    expect(watch.network(actor.pid)).toEqual([]);
    const [connect] = watch.network(pid);
    const fork = watch.of(pid).find((event): event is ForkEvent => event.kind === "fork");
    expect(connect?.startTicks).toBe(fork?.startTicks ?? -1);
  });

  test("datagrams to two peers are two sessions, each with its count and its end", async () => {
    await using actor = await start();
    await actor.do(`udp 127.0.0.1 ${OPEN}`);
    await actor.do("close");
    const [send] = watch.network(actor.pid);
    expect(send).toMatchObject({ kind: "send", transport: "udp", peerAddress: "127.0.0.1", peerPort: OPEN });
    const [close] = await watch.closes(actor.pid, 1);
    expect(close).toMatchObject({ result: "closed", count: 1, peerAddress: "127.0.0.1", peerPort: OPEN });
    expect(close?.socket).toBe(send?.socket ?? 0);
  });

  test("another process that sends by the same socket begins a session of its own", async () => {
    await using actor = await start();
    const { pid } = await actor.do(`share 127.0.0.1 ${OPEN}`);
    expect(pid).not.toBe(actor.pid);
    for (const each of [actor.pid, pid]) expect(watch.network(each)).toMatchObject([{ kind: "send" }]);
  });

  test("a TCP socket that listens is reported, bound or not, and a UDP socket that is bound", async () => {
    await using actor = await start();
    await actor.do(`listen 127.0.0.2 ${OTHER}`);
    await actor.do("listen ::1 0");
    await actor.do("autolisten");
    await actor.do(`bindudp ::ffff:127.0.0.3 ${OPEN}`);
    const listens = watch.network(actor.pid);
    expect(listens).toMatchObject([
      { kind: "listen", transport: "tcp", family: "ipv4", localAddress: "127.0.0.2", localPort: OTHER },
      { kind: "listen", transport: "tcp", family: "ipv6", localAddress: "::1" },
      // The kernel chooses its port only after that.
      { kind: "listen", transport: "tcp", family: "ipv4", localAddress: "0.0.0.0", localPort: 0 },
      { kind: "listen", transport: "udp", family: "ipv4", localAddress: "127.0.0.3", localPort: OPEN },
    ]);
    expect(listens[1]).toHaveProperty("found", false);
  });

  test.each([1, 4])(
    "10,000 of 10,000 connections have their process, with %d callers",
    async (callers) => {
      await using actor = await start();
      const children = new Map<number, ForkEvent>();
      const seen = new Set<string>();
      let wrong = 0;
      for (const event of await watch.during(actor.do(`storm ${100 + callers} 10000 ${callers}`))) {
        if (event.kind === "loss") throw new Error(`${event.count} lost`);
        if (event.kind === "fork" && event.parentPid === actor.pid) children.set(event.pid, event);
        if (event.kind !== "connect" || !event.peerAddress.startsWith(`127.${100 + callers}.`)) continue;
        seen.add(event.peerAddress);
        const child = children.get(event.pid);
        // Pids may be used again, so the start must fit, too.
        if (child === undefined || child.startTicks !== event.startTicks || child.time > event.time)
          wrong += 1;
      }
      expect([seen.size, wrong]).toEqual([10_000, 0]);
    },
    60_000,
  );
});

test.skipIf(reason !== undefined)(
  "a flood of datagrams displaces no program, and what is lost is of the network alone",
  async () => {
    using folder = new ActorFolder();
    await using actor = await Actor.start(folder.actor);
    using watch = new NetworkWatch(["send"]);
    // Nobody reads meanwhile: as if the reader were too slow by far.
    await actor.do("flood 30000");
    const pids = Array.from({ length: 100 }, () => watch.run(["true"]).pid);
    const events = watch.drain();
    const sends = events.filter(
      ({ kind, ...event }) => kind === "send" && "pid" in event && event.pid === actor.pid,
    );
    const losses = events.filter((event) => event.kind === "loss");
    expect(losses.map(({ reason }) => reason)).toEqual(["network"]);
    expect(sends.length).toBeGreaterThan(5_000);
    expect(losses[0]?.count).toBeGreaterThanOrEqual(30_000 - sends.length);
    for (const pid of pids) expect(watch.kinds(pid)).toEqual(["fork", "exec", "exit"]);
  },
);

describe.skipIf(reason !== undefined)("the filters in the kernel", () => {
  const network = (text: string) => {
    const parsed = parseNetwork(text);
    if (parsed === undefined) throw new Error(text);
    return parsed;
  };

  test("leave out networks but for some ports, and ports whatever the network; a new filter replaces them", async () => {
    using folder = new ActorFolder();
    using watch = new NetworkWatch();
    const connect = {
      ...everything,
      networks: [
        {
          network: network("127.0.0.0/8"),
          ports: { mode: "except" as const, ranges: [{ first: 20_000, last: 20_009 }] },
        },
        {
          network: network("127.7.0.0/16"),
          ports: { mode: "only" as const, ranges: [{ first: 22, last: 22 }] },
        },
      ],
      ports: { mode: "only" as const, ranges: [{ first: 20_005, last: 20_005 }] },
    };
    watch.sensor.watchNetwork({ kinds: ["connect"], filters: { ...noFilters, connect } });
    await using actor = await Actor.start(folder.actor);
    const tried = [
      ...["127.0.0.1 80", "127.0.0.1 20000", "127.0.0.1 20005", "127.0.0.1 20009", "127.0.0.1 20010"],
      ...["127.7.0.1 80", "127.7.0.1 22", "127.7.0.1 20005", "::1 80"],
    ];
    for (const target of tried) await actor.do(`tcp ${target}`);
    // Not watched any more.
    await actor.do("udp 127.0.0.1 20000");
    const targets = () =>
      watch
        .network(actor.pid)
        .map((event) => ("peerPort" in event ? `${event.peerAddress} ${event.peerPort}` : ""));
    expect(targets()).toEqual(["127.0.0.1 20000", "127.0.0.1 20009", "127.7.0.1 80", "::1 80"]);

    watch.sensor.watchNetwork({ kinds: ["connect"], filters: noFilters });
    await actor.do("tcp 127.7.0.1 22");
    expect(targets().at(-1)).toBe("127.7.0.1 22");

    watch.sensor.watchNetwork(undefined);
    await actor.do("tcp 127.0.0.1 20000");
    expect(targets()).toHaveLength(5);
  });

  test("leave out listeners of other network namespaces, ports that the kernel chose, and transports", async () => {
    using folder = new ActorFolder();
    using watch = new NetworkWatch();
    const listen = { ...everything, ignoreRandomPorts: true, hostNamespaceOnly: true };
    const connect = { ...everything, transports: ["udp" as const] };
    watch.sensor.watchNetwork({ kinds: ["listen", "connect"], filters: { ...noFilters, listen, connect } });
    await using inside = await Actor.start(folder.actor);
    await using outside = await Actor.start("unshare", "--net", folder.actor);
    for (const actor of [inside, outside]) {
      for (const command of ["listen 0.0.0.0", "bindudp 0.0.0.0"]) {
        await actor.do(`${command} ${OTHER}`);
        await actor.do(`${command} 0`);
      }
      for (const how of ["tcp", "udpconnect"]) await actor.do(`${how} 127.0.0.1 ${OTHER}`);
    }
    const seen = ({ pid }: Actor) => watch.network(pid).map(({ kind, transport }) => `${kind} ${transport}`);
    // A TCP socket that listens on a port of the kernel's choice is not bound for a client's sake: it stays.
    expect(seen(inside)).toEqual(["listen tcp", "listen tcp", "listen udp", "connect udp"]);
    expect(seen(outside)).toEqual(["connect udp"]);
  });
});
