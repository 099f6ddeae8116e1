// The kernel refuses what a process may not do on the network: the first call fails with EPERM, nothing is sent, and the
// event is reported as denied. All traffic is on the loopback interface.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { EPERM } from "../../src/linux/libc.ts";
import type { NetworkDenials } from "../../src/sensor/network/denial.ts";
import type { IgnoredPorts } from "../../src/sensor/network/filters.ts";
import { HIGHEST_USER } from "../../src/vocabulary/user-ranges.ts";
import { DenyingWatch, denied, results } from "./denied-network.ts";
import { whyNot } from "./ebpf-watch.ts";
import { Actor, ActorFolder, NetworkWatch } from "./network-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const PORT = 18_481;
const ECONNREFUSED = 111;
const noPort: IgnoredPorts = { mode: "only", ranges: [] };

describe.skipIf(reason !== undefined)("a process that is denied a network", () => {
  let denying: DenyingWatch;
  let watch: NetworkWatch;
  let denials: NetworkDenials;

  beforeAll(() => {
    denying = new DenyingWatch();
    ({ watch, denials } = denying);
  });

  afterAll(() => denying[Symbol.dispose]());

  test("cannot connect there by TCP or UDP in any way, and each attempt is reported as denied", async () => {
    await using actor = await denying.start();
    const set = denying.setOf(
      denied("127.0.0.0/8"),
      denied("::1"),
      denied("127.0.0.0/8", "connect", "udp"),
      denied("127.0.0.0/8", "send", "udp"),
    );
    expect(denials.assign(denying.judged(actor), { set, afterExec: set })).toBe(true);
    const commands = [
      ...["tcp", "nonblock", "fastopen", "deferred", "mptcp", "uring"].map(
        (how) => `${how} 127.0.0.1 ${PORT}`,
      ),
      `tcp ::1 ${PORT}`,
      `tcp ::ffff:127.0.0.1 ${PORT}`,
      `udpconnect 127.0.0.1 ${PORT}`,
      `udp 127.0.0.1 ${PORT}`,
      `udp ::ffff:127.0.0.1 ${PORT}`,
      `thread tcp 127.0.0.1 ${PORT}`,
      `fork tcp 127.0.0.1 ${PORT}`,
      `exec tcp 127.0.0.1 ${PORT}`,
      `late 127.0.0.1 ${PORT}`,
    ];
    expect(await results(actor, ...commands)).toEqual(commands.map(() => EPERM));
    const events = watch.network(actor.pid);
    expect(events.map((event) => event.denied)).toEqual(events.map(() => true));
    expect(events).toHaveLength(commands.length - 3);
    expect(watch.of(actor.pid).some(({ kind }) => kind === "close")).toBe(false);
  });

  test("may do whatever the set does not name: other transports, ports and networks; the longest prefix decides", async () => {
    await using actor = await denying.start();
    const range = { first: 100, last: 200 };
    const set = denying.setOf(
      denied("127.0.0.0/8"),
      denied("127.9.0.0/16", "connect", "tcp", noPort),
      denied("127.9.9.0/24", "connect", "tcp", { mode: "only", ranges: [range] }),
      denied("127.8.0.0/16", "connect", "tcp", { mode: "except", ranges: [range] }),
    );
    denials.assign(denying.judged(actor), { set, afterExec: set });
    const tried: Readonly<Record<string, number>> = {
      [`tcp 127.0.0.1 ${PORT}`]: EPERM,
      [`tcp ::1 ${PORT}`]: ECONNREFUSED,
      [`udpconnect 127.0.0.1 ${PORT}`]: 0,
      "tcp 127.9.0.1 150": ECONNREFUSED,
      "tcp 127.9.9.1 99": ECONNREFUSED,
      "tcp 127.9.9.1 100": EPERM,
      "tcp 127.9.9.1 200": EPERM,
      "tcp 127.9.9.1 201": ECONNREFUSED,
      "tcp 127.8.0.1 150": ECONNREFUSED,
      "tcp 127.8.0.1 80": EPERM,
    };
    expect(await results(actor, ...Object.keys(tried))).toEqual(Object.values(tried));
  });

  test("runs another program under the set for that, and so do its children", async () => {
    await using actor = await denying.start();
    const set = denying.setOf(denied("127.0.0.1/32"));
    const afterExec = denying.setOf(denied("127.0.0.2/32"));
    denials.assign(denying.judged(actor), { set, afterExec });
    expect(
      await results(
        actor,
        `tcp 127.0.0.1 ${PORT}`,
        `fork tcp 127.0.0.1 ${PORT}`,
        `exec tcp 127.0.0.1 ${PORT}`,
        `exec tcp 127.0.0.2 ${PORT}`,
        `exec fork tcp 127.0.0.2 ${PORT}`,
        `fork tcp 127.0.0.2 ${PORT}`,
      ),
    ).toEqual([EPERM, EPERM, ECONNREFUSED, EPERM, EPERM, ECONNREFUSED]);
  });

  test("cannot bind to a port that it may not listen on; a port that the kernel chooses is none of these", async () => {
    await using actor = await denying.start();
    const set = denying.setOf(denied("0.0.0.0/0", "listen", "tcp"), denied("::/0", "listen", "tcp"));
    denials.assign(denying.judged(actor), { set, afterExec: set });
    expect(
      await results(actor, `listen 127.0.0.1 ${PORT}`, `listen ::1 ${PORT}`, "listen 127.0.0.1 0"),
    ).toEqual([EPERM, EPERM, 0]);
    expect(watch.network(actor.pid)).toMatchObject([
      { kind: "listen", denied: true, localAddress: "127.0.0.1", localPort: PORT },
      { kind: "listen", denied: true, localAddress: "::1", localPort: PORT },
      { kind: "listen", denied: false, localAddress: "127.0.0.1" },
    ]);
  });

  test("cannot bind to it after another bind that failed, which left the port to the kernel", async () => {
    await using actor = await denying.start();
    const transports = ["tcp", "udp"] as const;
    const networks = ["0.0.0.0/0", "::/0"];
    const set = denying.setOf(
      ...networks.flatMap((text) => transports.map((each) => denied(text, "listen", each))),
    );
    denials.assign(denying.judged(actor), { set, afterExec: set });
    const commands = ["listentwice", "bindudptwice"].flatMap((how) =>
      ["127.0.0.1", "::1"].map((address) => `${how} ${address} ${PORT}`),
    );
    expect(await results(actor, ...commands)).toEqual(commands.map(() => EPERM));
    expect(watch.network(actor.pid)).toMatchObject(
      commands.map(() => ({ kind: "listen", denied: true, localPort: PORT })),
    );
  });

  test("cannot reach the loopback address by the unspecified one, which means this host", async () => {
    await using actor = await denying.start();
    const loopback = ["127.0.0.0/8", "::1"];
    const set = denying.setOf(
      ...loopback.map((text) => denied(text)),
      ...loopback.map((text) => denied(text, "connect", "udp")),
      ...loopback.map((text) => denied(text, "send", "udp")),
    );
    denials.assign(denying.judged(actor), { set, afterExec: set });
    const commands = ["tcp", "udpconnect", "udp"].flatMap((how) =>
      ["0.0.0.0", "::", "::ffff:0.0.0.0"].map((address) => `${how} ${address} ${PORT}`),
    );
    expect(await results(actor, ...commands)).toEqual(commands.map(() => EPERM));
    expect(watch.network(actor.pid).map((event) => "peerAddress" in event && event.peerAddress)).toEqual(
      commands.map((command) => (command.includes(" :: ") ? "::1" : "127.0.0.1")),
    );
  });

  test("is denied nothing once the set is taken away, its epoch is over, or another process has its pid", async () => {
    await using actor = await denying.start();
    const attempt = `tcp 127.0.0.1 ${PORT}`;
    const set = denying.setOf(denied("127.0.0.1/32"));
    const sets = { set, afterExec: set };
    const process = denying.judged(actor);
    denials.assign(process, sets);
    denials.assign(process, { set: 0, afterExec: 0 });
    expect(await results(actor, attempt)).toEqual([ECONNREFUSED]);

    denials.assign({ ...process, startTicks: process.startTicks - 1 }, sets);
    expect(await results(actor, attempt)).toEqual([ECONNREFUSED]);

    denials.assign(process, sets);
    denials.setEpoch(2);
    denials.enforceEpoch();
    expect(await results(actor, attempt)).toEqual([ECONNREFUSED]);
    denials.assign(process, sets);
    expect(await results(actor, attempt)).toEqual([EPERM]);
  });

  test("whose program is not known is held to what holds for every program", async () => {
    await using actor = await denying.start();
    const set = denying.setOf(denied("127.0.0.1/32"));
    const afterExec = denying.setOf(denied("127.0.0.2/32"));
    denials.assign({ ...denying.judged(actor), execId: undefined }, { set, afterExec });
    expect(await results(actor, `tcp 127.0.0.1 ${PORT}`, `tcp 127.0.0.2 ${PORT}`)).toEqual([
      ECONNREFUSED,
      EPERM,
    ]);
  });

  test("as one user only is not refused as another, whoever it was when it was judged", async () => {
    await using actor = await denying.start();
    const only33 = { ...denied("127.0.0.1/32"), users: { first: 33, last: 33 } };
    const from1000 = { ...denied("127.0.0.2/32"), users: { first: 1000, last: HIGHEST_USER } };
    const set = denying.setOf(only33, from1000, denied("127.0.0.3/32"));
    denials.assign(denying.judged(actor), { set, afterExec: set });
    const tried: Readonly<Record<string, number>> = {
      [`tcp 127.0.0.1 ${PORT}`]: ECONNREFUSED,
      [`as 33 tcp 127.0.0.1 ${PORT}`]: EPERM,
      [`as 33 tcp 127.0.0.2 ${PORT}`]: ECONNREFUSED,
      [`as 34 tcp 127.0.0.1 ${PORT}`]: ECONNREFUSED,
      [`as 999 tcp 127.0.0.2 ${PORT}`]: ECONNREFUSED,
      [`as 1000 tcp 127.0.0.2 ${PORT}`]: EPERM,
      [`as 4000000000 tcp 127.0.0.2 ${PORT}`]: EPERM,
      [`as 33 tcp 127.0.0.3 ${PORT}`]: EPERM,
      [`tcp 127.0.0.3 ${PORT}`]: EPERM,
    };
    expect(await results(actor, ...Object.keys(tried))).toEqual(Object.values(tried));
  });

  test("waits for no user space, and a change is in force within milliseconds", () => {
    const begin = performance.now();
    denials.enforceEpoch();
    expect(performance.now() - begin).toBeLessThan(200);
  });
});

describe.skipIf(reason !== undefined)("while no warden reports that it lives", () => {
  const LIMIT_MS = 500;

  test("what was denied is denied until the limit, and again as soon as one does", async () => {
    using folder = new ActorFolder();
    using watch = new NetworkWatch(["connect"], { denialLimitMs: LIMIT_MS });
    const { denials } = watch.sensor;
    if (denials === undefined) throw new Error("no denials");
    await using actor = await Actor.start(folder.actor);
    const errno = async () => (await actor.do(`tcp 127.0.0.1 ${PORT}`)).errno;
    denials.setEpoch(1);
    denials.define(1, [denied("127.0.0.1/32")]);
    const { pid } = actor;
    const { facts, execId } = watch.exec(pid);
    denials.assign({ pid, startTicks: facts.startTicks ?? 0, execId }, { set: 1, afterExec: 1 });
    denials.beat();
    expect(await errno()).toBe(EPERM);
    await Bun.sleep(LIMIT_MS + 100);
    expect(await errno()).toBe(ECONNREFUSED);
    denials.beat();
    expect(await errno()).toBe(EPERM);
  });
});
