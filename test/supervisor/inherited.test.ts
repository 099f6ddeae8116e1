import { afterEach, beforeEach, expect, test } from "bun:test";
import fc from "fast-check";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { sendPacket, socketPair } from "../../src/linux/socketpair.ts";
import {
  decodeOrders,
  encodeOrder,
  readControl,
  type SupervisorOrder,
} from "../../src/supervisor/inherited.ts";

let ours = -1;
let theirs = -1;
let open: number[] = [];

beforeEach(() => {
  [ours, theirs] = socketPair(65_536);
  open = [ours, theirs];
});

afterEach(() => open.forEach(closeDescriptor));

function hangUp(): void {
  closeDescriptor(ours);
  open = [theirs];
}

test("reading without orders returns none and does not block", () => {
  expect(readControl(theirs)).toEqual([]);
});

test("orders arrive once each, in the order in which they were sent", () => {
  for (const order of ["reload", "request", "stop"] as const) sendPacket(ours, encodeOrder(order));
  expect(readControl(theirs)).toEqual(["reload", "request", "stop"]);
  expect(readControl(theirs)).toEqual([]);
});

test("the end of the last supervisor is read as a hang-up after its last orders", () => {
  sendPacket(ours, encodeOrder("reload"));
  hangUp();
  expect(readControl(theirs)).toEqual(["reload", "hangup"]);
  expect(readControl(theirs)).toEqual(["hangup"]);
});

test("an unknown order is skipped", () => {
  sendPacket(ours, new TextEncoder().encode("dance\n"));
  sendPacket(ours, encodeOrder("stop"));
  expect(readControl(theirs)).toEqual(["stop"]);
});

test("merged orders are read as separate ones", () => {
  const order = fc.constantFrom<SupervisorOrder>("reload", "request", "stop");
  fc.assert(
    fc.property(fc.array(order), (sent) => {
      const merged = Buffer.concat(sent.map(encodeOrder));
      expect(decodeOrders(merged)).toEqual(sent);
    }),
  );
});

test("arbitrary bytes between orders are skipped, and no order is lost with them", () => {
  const order = fc.constantFrom<SupervisorOrder>("reload", "request", "stop");
  // Without newlines the bytes are a single line, and the prefix keeps that line from being an order.
  const noise = fc
    .uint8Array()
    .map((bytes) => Buffer.from([0xff, ...bytes.filter((byte) => byte !== 10), 10]));
  fc.assert(
    fc.property(fc.array(fc.oneof(order, noise)), (lines) => {
      const bytes = Buffer.concat(lines.map((line) => (typeof line === "string" ? encodeOrder(line) : line)));
      expect(decodeOrders(bytes)).toEqual(lines.filter((line) => typeof line === "string"));
    }),
  );
});
