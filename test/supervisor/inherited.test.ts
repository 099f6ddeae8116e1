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

test("without orders there is nothing to read, and no wait", () => {
  expect(readControl(theirs)).toEqual([]);
});

test("orders come in the order in which they were sent, each once", () => {
  for (const order of ["reload", "request", "stop"] as const) sendPacket(ours, encodeOrder(order));
  expect(readControl(theirs)).toEqual(["reload", "request", "stop"]);
  expect(readControl(theirs)).toEqual([]);
});

test("the end of the last supervisor reads as a hang-up, after its last orders", () => {
  sendPacket(ours, encodeOrder("reload"));
  hangUp();
  expect(readControl(theirs)).toEqual(["reload", "hangup"]);
  expect(readControl(theirs)).toEqual(["hangup"]);
});

test("an order that this version does not know is passed over", () => {
  sendPacket(ours, new TextEncoder().encode("dance\n"));
  sendPacket(ours, encodeOrder("stop"));
  expect(readControl(theirs)).toEqual(["stop"]);
});

test("orders that a reader got merged are still told apart", () => {
  const order = fc.constantFrom<SupervisorOrder>("reload", "request", "stop");
  fc.assert(
    fc.property(fc.array(order), (sent) => {
      const merged = Buffer.concat(sent.map(encodeOrder));
      expect(decodeOrders(merged)).toEqual(sent);
    }),
  );
});

test("bytes between orders, whatever they are, are passed over, and no order with them", () => {
  const order = fc.constantFrom<SupervisorOrder>("reload", "request", "stop");
  // Without a newline it is one line, and with the mark in front none that is an order.
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
