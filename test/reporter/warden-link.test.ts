import { afterEach, expect, test } from "bun:test";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { receivePacket, sendPacket, socketPair } from "../../src/linux/socketpair.ts";
import { linkToWarden } from "../../src/reporter/warden-link.ts";

let warden = -1;
afterEach(() => closeDescriptor(warden));

const buffer = new Uint8Array(new ArrayBuffer(4_096));

/** What the warden reads now, as it came. */
function received(): string[] {
  const found: string[] = [];
  for (;;) {
    const length = receivePacket(warden, buffer);
    if (length <= 0) return found;
    found.push(new TextDecoder().decode(buffer.subarray(0, length)));
  }
}

test("a warden that reads again after a long time gets the last word of each request, in order", async () => {
  const [one, reporter] = socketPair(4_096);
  warden = one;
  const link = await linkToWarden(
    reporter,
    () => undefined,
    () => undefined,
  );
  const filler = "x".repeat(1_000);
  while (sendPacket(reporter, new TextEncoder().encode(filler)));
  for (let n = 1; n <= 100; n += 1) {
    link.send({ type: "ping", id: n });
    link.send({ type: "ack", generation: 1, n });
  }
  link.send({ type: "ready", generation: 1, last: 100 });
  link.send({ type: "watch", on: true });
  const read: unknown[] = [];
  for (let i = 0; i < 200 && read.length < 4; i += 1) {
    for (const text of received()) if (text !== filler) read.push(JSON.parse(text));
    await Bun.sleep(5);
  }
  expect(read).toEqual([
    { type: "ping", id: 100 },
    { type: "ack", generation: 1, n: 100 },
    { type: "ready", generation: 1, last: 100 },
    { type: "watch", on: true },
  ]);
  link.close();
});

test("once the socket has ended, nothing is written to the descriptor that has got its number", async () => {
  const [one, reporter] = socketPair(4_096);
  warden = one;
  const closed = Promise.withResolvers<void>();
  const link = await linkToWarden(reporter, () => undefined, closed.resolve);
  const script = "import socket; socket.socket(fileno=3).shutdown(socket.SHUT_RDWR)";
  await Bun.spawn(["/usr/bin/python3", "-c", script], { stdio: ["ignore", "inherit", "inherit", reporter] })
    .exited;
  await closed.promise;
  // Sockets of clients that come now, of which one gets the number.
  const others = Array.from({ length: 40 }, () => socketPair(4_096));
  expect(others.flat()).toContain(reporter);
  for (let n = 1; n <= 10; n += 1) link.send({ type: "ping", id: n });
  await Bun.sleep(50);
  for (const [left, right] of others)
    for (const end of [left, right]) expect(receivePacket(end, buffer)).toBe(-1);
  link.close();
  for (const fd of others.flat()) closeDescriptor(fd);
});
