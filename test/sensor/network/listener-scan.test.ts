// What listens already is found with the process that listens, in sockets that this test opens.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { parseConfig } from "../../../src/config/config-file.ts";
import type { ListenEvent } from "../../../src/sensor/event.ts";
import { networkFilters } from "../../../src/sensor/network/filters.ts";
import { listenerScan } from "../../../src/sensor/network/listener-scan.ts";
import { allSteps } from "../../../src/vocabulary/steps.ts";

const servers: Server[] = [];
const sockets: Socket[] = [];

/** The address and port on which a new TCP socket listens. */
async function listens(host: string): Promise<string> {
  const server = createServer();
  servers.push(server);
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it listens on a port");
  return `${address.address} ${address.port}`;
}

/** Binds a UDP socket to the first free port below those that the kernel gives out by itself. */
async function binds(host: string, type: "udp4" | "udp6"): Promise<string> {
  for (let port = 19_501; port < 19_600; port += 1) {
    const socket = createSocket(type);
    sockets.push(socket);
    socket.bind(port, host);
    const [error] = await Promise.race([once(socket, "listening"), once(socket, "error")]);
    if (error === undefined) return `${host} ${port}`;
  }
  throw new Error("100 ports in a row are taken");
}

function found(network: string): readonly ListenEvent[] {
  const result = parseConfig(`network: ${network}`, "config.yaml");
  if (!result.ok) throw new Error("it is valid");
  const filters = networkFilters(result.config.network);
  const { events } = allSteps(listenerScan({ source: "ebpf", filters, mayFollowLinks: () => true }));
  return events.filter(({ pid }) => pid === process.pid);
}

const nameOf = ({ transport, localAddress, localPort }: ListenEvent) =>
  `${transport} ${localAddress} ${localPort}`;

let expected: string[];

beforeAll(async () => {
  expected = [
    `tcp ${await listens("127.0.0.1")}`,
    `tcp ${await listens("::1")}`,
    `tcp ${(await listens("::ffff:127.0.0.1")).replace("::ffff:", "")}`,
    `udp ${await binds("127.0.0.1", "udp4")}`,
    `udp ${await binds("::1", "udp6")}`,
  ];
  const client = createSocket("udp4");
  sockets.push(client);
  client.bind(0, "127.0.0.1");
  await once(client, "listening");
});

afterAll(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.close();
});

test("TCP and UDP, IPv4, IPv6 and IPv4-mapped, but no UDP port that the kernel chose", () => {
  const events = found("{ listen: { loopback: true } }");
  expect(events.map(nameOf).toSorted()).toEqual(expected.toSorted());
  for (const { found: isFound, uid, startTicks } of events) {
    expect([isFound, uid]).toEqual([true, process.geteuid?.()]);
    expect(startTicks).toBeGreaterThan(0);
  }
});

test("what the filters leave out is not reported", () => {
  expect(found("{}")).toEqual([]);
  const names = found("{ listen: { loopback: true, transports: [udp], ignore_networks: ['::1'] } }").map(
    nameOf,
  );
  expect(names).toEqual(expected.filter((name) => name.startsWith("udp 127.")));
});

test("it is made in steps", () => {
  const result = parseConfig("{}", "config.yaml");
  if (!result.ok) throw new Error("it is valid");
  const steps = listenerScan({
    source: "ebpf",
    filters: networkFilters(result.config.network),
    mayFollowLinks: () => true,
  });
  let count = 0;
  while (steps.next().done !== true) count += 1;
  expect(count).toBeGreaterThan(2);
});
