import { afterEach, beforeEach, expect, test } from "bun:test";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { receivePacket, sendPacket, socketPair } from "../../src/linux/socketpair.ts";

let one = -1;
let other = -1;
let open: number[] = [];

beforeEach(() => {
  [one, other] = socketPair(1 << 20);
  open = [one, other];
});

afterEach(() => open.forEach(closeDescriptor));

const buffer = new Uint8Array(new ArrayBuffer(256));

test("packets arrive whole, in order, and unmerged", () => {
  for (const length of [1, 200, 3]) expect(sendPacket(one, new Uint8Array(length))).toBe(true);
  expect([0, 1, 2].map(() => receivePacket(other, buffer))).toEqual([1, 200, 3]);
});

test("with nothing to read, reading does not wait", () => {
  expect(receivePacket(other, buffer)).toBe(-1);
});

test("a full socket refuses packets instead of blocking, and accepts them again once it is read", () => {
  const packet = new Uint8Array(120);
  let taken = 0;
  while (taken < 100_000 && sendPacket(one, packet)) taken += 1;
  expect(taken).toBeGreaterThan(200);
  expect(taken).toBeLessThan(100_000);
  while (receivePacket(other, buffer) > 0);
  expect(sendPacket(one, packet)).toBe(true);
});

test("an end whose other end is closed reads 0 and sends nothing, without a signal", () => {
  closeDescriptor(one);
  open = [other];
  expect(receivePacket(other, buffer)).toBe(0);
  expect(sendPacket(other, new Uint8Array(1))).toBe(false);
});
