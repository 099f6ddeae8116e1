// Lines of /proc/net/tcp and its kind, taken from Linux 6.18.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseSocketLine, parseSocketLink } from "../../../src/linux/proc/socket-table.ts";

const tcp =
  "   0: 0100007F:251D 00000000:0000 0A 00000000:00000000 00:00000000 00000000 61409        0 31119440 1 00000000a28345d0 100 0 0 10 0                  ";
const tcp6 =
  "  12: B80D0120000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0";
const udp =
  " 1234: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1077 2 0000000000000000 0         ";

test("a line has the address in network order, the port, the state and the inode", () => {
  expect(parseSocketLine(tcp)).toEqual({
    address: [127, 0, 0, 1],
    port: 9501,
    peerAddress: [0, 0, 0, 0],
    peerPort: 0,
    state: 10,
    inode: 31_119_440,
  });
  expect(parseSocketLine(tcp6)).toEqual({
    address: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    port: 8080,
    peerAddress: new Array(16).fill(0),
    peerPort: 0,
    state: 10,
    inode: 4711,
  });
  expect(parseSocketLine(udp)).toEqual({
    address: [0, 0, 0, 0],
    port: 68,
    peerAddress: [0, 0, 0, 0],
    peerPort: 0,
    state: 7,
    inode: 1077,
  });
});

test("a heading and a part of a line have no socket", () => {
  const heading =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
  expect(parseSocketLine(heading)).toBeUndefined();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 90 }), (end) => parseSocketLine(tcp.slice(0, end)) === undefined),
  );
});

test("any text has a socket with numbers in their ranges, or none", () => {
  const text = fc.string({ unit: fc.constantFrom(..."0123456789ABCDEF: \n"), maxLength: 200 });
  fc.assert(
    fc.property(text, (line) => {
      const socket = parseSocketLine(line);
      return socket === undefined || (socket.port <= 65_535 && [4, 16].includes(socket.address.length));
    }),
  );
});

test("only a link to a socket has an inode", () => {
  expect(parseSocketLink("socket:[4711]")).toBe(4711);
  for (const link of [
    "pipe:[4711]",
    "/tmp/socket:[4711]",
    "socket:[]",
    "socket:[1] ",
    "anon_inode:[eventpoll]",
  ])
    expect(parseSocketLink(link)).toBeUndefined();
});
