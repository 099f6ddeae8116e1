// What a process could do to reach what it is denied on the network, by what the kernel makes of a call after it was judged.
// All traffic is on the loopback interface.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { EPERM } from "../../src/linux/libc.ts";
import type { DeniedNetwork } from "../../src/sensor/network/denial.ts";
import { DenyingWatch, denied, results } from "./denied-network.ts";
import { whyNot } from "./ebpf-watch.ts";
import type { Actor, NetworkWatch } from "./network-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const PORT = 18_485;
const ECONNREFUSED = 111;
/** The kernel has no such routing header. */
const ENOPROTOOPT = 92;

/** Denies connections and datagrams to a network. */
function deniedPeers(text: string): readonly DeniedNetwork[] {
  return [denied(text, "connect", "tcp"), denied(text, "connect", "udp"), denied(text, "send", "udp")];
}

describe.skipIf(reason !== undefined)("a process that is denied a network", () => {
  let denying: DenyingWatch;
  let watch: NetworkWatch;

  beforeAll(() => {
    denying = new DenyingWatch();
    watch = denying.watch;
  });

  afterAll(() => denying[Symbol.dispose]());

  /** A new actor, which is denied these networks. */
  async function start(...networks: readonly DeniedNetwork[]): Promise<Actor> {
    const actor = await denying.start();
    const process = denying.judged(actor);
    const set = denying.setOf(...networks);
    denying.denials.assign(process, { set, afterExec: set });
    return actor;
  }

  test("cannot bind to a port while another thread leaves the port of the same socket to the kernel", async () => {
    await using actor = await start(denied("0.0.0.0/0", "listen", "udp"));
    const racing = actor.do(`bindrace 127.0.0.1 ${PORT}`);
    await watch.during(racing);
    expect((await racing).errno).toBe(EPERM);
  }, 30_000);

  test("cannot reach an address of this host by 0.0.0.0, which is the one that the socket is bound to", async () => {
    await using actor = await start(...deniedPeers("127.7.7.7"));
    const ways = ["tcp", "fastopen", "udpconnect", "udp"];
    const commands = [
      ...ways.map((how) => `bound 127.7.7.7 ${how} 0.0.0.0 ${PORT}`),
      ...ways.map((how) => `bound ::ffff:127.7.7.7 ${how} ::ffff:0.0.0.0 ${PORT}`),
    ];
    expect(await results(actor, ...commands)).toEqual(commands.map(() => EPERM));
    const events = watch.network(actor.pid).filter(({ kind }) => kind !== "listen");
    expect(events.map((event) => "peerAddress" in event && event.peerAddress)).toEqual(
      commands.map(() => "127.7.7.7"),
    );
    // Bound to nothing, and to another address.
    expect(await results(actor, `tcp 0.0.0.0 ${PORT}`, `bound 127.7.7.8 tcp 0.0.0.0 ${PORT}`)).toEqual([
      ECONNREFUSED,
      ECONNREFUSED,
    ]);
  });

  test("cannot reach loopback of IPv4 by ::, from an IPv6 socket that is bound to an IPv4 address", async () => {
    await using actor = await start(...deniedPeers("127.0.0.0/8"));
    const commands = ["tcp", "fastopen", "udpconnect", "udp"].map((how) => `${how} :: ${PORT}`);
    expect(await results(actor, ...commands.map((command) => `bound ::ffff:127.0.0.1 ${command}`))).toEqual(
      commands.map(() => EPERM),
    );
    expect(await results(actor, `tcp :: ${PORT}`)).toEqual([ECONNREFUSED]);
  });

  test("cannot have a packet for another peer go there first", async () => {
    await using actor = await start(...deniedPeers("::1"));
    await using free = await denying.start();
    const udp = `via ::1 udp ::2 ${PORT}`;
    const expected = (await free.do(udp)).errno === ENOPROTOOPT ? ENOPROTOOPT : EPERM;
    expect(await results(actor, udp, `via ::1 nonblock ::2 ${PORT}`)).toEqual([
      expected,
      expected === EPERM ? 0 : ENOPROTOOPT,
    ]);
    if (expected === ENOPROTOOPT) return;
    const dropped = watch.network(actor.pid).filter(({ denied }) => denied);
    expect(dropped).toMatchObject([
      { kind: "send", transport: "udp", peerAddress: "::1" },
      { kind: "connect", transport: "tcp", peerAddress: "::1" },
    ]);
  });

  test("may send on a connected socket with control data: its peer was judged when it was connected", async () => {
    await using actor = await start(denied("0.0.0.0/0", "send", "udp"), denied("::/0", "send", "udp"));
    const commands = ["127.0.0.1", "::1"].map((address) => `udpcontrol ${address} ${PORT}`);
    expect(await results(actor, ...commands)).toEqual([0, 0]);
    expect(watch.network(actor.pid).map(({ kind }) => kind)).toEqual(["connect", "connect"]);
  });
});
