import { afterEach, beforeEach, expect, test } from "bun:test";
import { closeSync, fstatSync, openSync, readdirSync } from "node:fs";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { MOST_PASSED, receiveDescriptors, sendDescriptors } from "../../src/linux/descriptor-passing.ts";
import { isHungUp } from "../../src/linux/poll.ts";
import { sendPacket, socketPair } from "../../src/linux/socketpair.ts";

let one = -1;
let other = -1;
beforeEach(() => {
  [one, other] = socketPair(1 << 20);
});
afterEach(() => [one, other].forEach(closeDescriptor));

const buffer = new Uint8Array(new ArrayBuffer(64));
const text = new TextEncoder().encode("two files");

function received(): { text: string; descriptors: readonly number[]; length: number } {
  const { length, descriptors } = receiveDescriptors(other, buffer);
  return { text: new TextDecoder().decode(buffer.subarray(0, Math.max(0, length))), descriptors, length };
}

test("descriptors arrive with their packet, in order, as new numbers of the same files", () => {
  const files = ["/etc/passwd", "/etc/group"].map((path) => openSync(path, "r"));
  expect(sendDescriptors(one, text, files)).toBe(true);
  const inodes = files.map((fd) => fstatSync(fd).ino);
  files.forEach(closeSync);
  const message = received();
  expect(message.text).toBe("two files");
  expect(message.descriptors.map((fd) => fstatSync(fd).ino)).toEqual(inodes);
  message.descriptors.forEach(closeSync);
});

test("packets without descriptors, an empty socket and a closed one are told apart", () => {
  expect(received().length).toBe(-1);
  sendPacket(one, text);
  expect(received()).toEqual({ text: "two files", descriptors: [], length: 9 });
  closeDescriptor(one);
  one = -1;
  expect(received().length).toBe(0);
});

test("a full socket refuses, and a closed one, without an exception", () => {
  let sent = 0;
  while (sendDescriptors(one, text, [0]) && sent < 100_000) sent += 1;
  expect(sent).toBeGreaterThan(10);
  expect(sent).toBeLessThan(100_000);
  closeDescriptor(other);
  other = -1;
  expect(sendDescriptors(one, text, [0])).toBe(false);
});

test("10,000 messages leave no descriptor behind", () => {
  const before = readdirSync("/proc/self/fd").length;
  for (let i = 0; i < 10_000; i += 1) {
    expect(sendDescriptors(one, text, [0, 1])).toBe(true);
    received().descriptors.forEach(closeDescriptor);
  }
  expect(readdirSync("/proc/self/fd").length).toBe(before);
});

test("more descriptors than a message may have are refused before anything is sent", () => {
  expect(() => sendDescriptors(one, text, Array(MOST_PASSED + 1).fill(0))).toThrow(RangeError);
  expect(received().length).toBe(-1);
});

test("a socket counts as hung up when either direction was shut down at its other end", async () => {
  expect(isHungUp(one)).toBe(false);
  // SHUT_WR: this end can still write, but nothing can arrive any more.
  const script = "import socket,sys; socket.socket(fileno=3).shutdown(int(sys.argv[1]))";
  await Bun.spawn(["/usr/bin/python3", "-c", script, "1"], { stdio: ["ignore", "inherit", "inherit", other] })
    .exited;
  expect(isHungUp(one)).toBe(true);
  expect(isHungUp(other)).toBe(false);
});
