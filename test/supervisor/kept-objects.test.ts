// What the supervisor keeps of a warden, by descriptors of ordinary pipes.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { closeDescriptor, createPipe } from "../../src/linux/descriptor.ts";
import { isSameFile } from "../../src/linux/kcmp.ts";
import { sendPacket, socketPair } from "../../src/linux/socketpair.ts";
import { readWardenMessages, sendWardenMessage } from "../../src/supervisor/inherited.ts";
import {
  KeptDescriptors,
  keepAndClose,
  MOST_KEPT,
  NOTHING_KEPT,
  readKept,
  sendKept,
} from "../../src/supervisor/kept-objects.ts";

let ours = -1;
let theirs = -1;
let pipe: readonly [number, number] = [-1, -1];

beforeEach(() => {
  [ours, theirs] = socketPair(65_536);
  pipe = createPipe();
});
afterEach(() => [ours, theirs, ...pipe].forEach(closeDescriptor));

const open = (): number => readdirSync("/proc/self/fd").length;
const isSame = (left = -1, right = -1): boolean => isSameFile(process.pid, left, right) === true;

describe("what a warden wants to be kept", () => {
  test("arrives between its other messages, with copies of its descriptors", () => {
    sendWardenMessage("ready", theirs);
    sendKept(theirs, { description: "two ends", descriptors: pipe });
    sendWardenMessage({ watching: "all" }, theirs);
    const [ready, kept, watching] = readWardenMessages(ours);
    expect([ready, watching]).toEqual(["ready", { watching: "all" }]);
    if (typeof kept !== "object" || !("keep" in kept)) throw new Error("nothing to keep");
    expect(kept.keep.description).toBe("two ends");
    expect(kept.keep.descriptors.map((fd, i) => isSame(fd, pipe[i]))).toEqual([true, true]);
    kept.keep.descriptors.forEach(closeDescriptor);
  });

  test("takes the place of what was kept before, which is closed", () => {
    const before = open();
    const kept = new KeptDescriptors();
    kept.replace({ description: "first", descriptors: pipe });
    kept.replace({ description: "second", descriptors: [pipe[0]] });
    expect([kept.value.description, open() - before]).toEqual(["second", 1]);
    kept.replace(NOTHING_KEPT);
    expect(open()).toBe(before);
  });

  test("is bounded", () => {
    const many = Array.from({ length: MOST_KEPT + 1 }, () => pipe[0]);
    expect(() => sendKept(theirs, { description: "", descriptors: many })).toThrow(RangeError);
    expect(() => sendKept(theirs, { description: "x".repeat(10_000), descriptors: [] })).toThrow(RangeError);
  });

  test("is closed if nobody keeps it, as are descriptors of other packets", () => {
    const before = open();
    sendKept(theirs, { description: "", descriptors: pipe });
    for (const message of readWardenMessages(ours))
      if (typeof message === "object" && "keep" in message) keepAndClose(message.keep, undefined);
    sendPacket(theirs, new TextEncoder().encode("dance"));
    expect([readWardenMessages(ours), open()]).toEqual([[], before]);
  });
});

test("the next warden reads what is kept of the one before, and nothing where nothing is kept", () => {
  const kept = new KeptDescriptors();
  const [empty] = kept.forWarden();
  expect(readKept(empty)).toBeUndefined();
  kept.replace({ description: "two ends", descriptors: pipe });
  const [file, ...descriptors] = kept.forWarden();
  // The numbers that a child gets follow each other.
  expect(readKept(file)).toEqual({ description: "two ends", descriptors: [file + 1, file + 2] });
  expect(descriptors.map((fd, i) => isSame(fd, pipe[i]))).toEqual([true, true]);
  kept.replace(NOTHING_KEPT);
});
