import { afterEach, beforeEach, expect, test } from "bun:test";
import { fstatSync, openSync, readdirSync } from "node:fs";
import fc from "fast-check";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { sendDescriptors } from "../../src/linux/descriptor-passing.ts";
import { sendPacket, socketPair } from "../../src/linux/socketpair.ts";
import {
  decodeOrders,
  encodeNewLink,
  encodeOrder,
  encodePids,
  readControl,
  readWardenControl,
  readWardenMessages,
  type SupervisorOrder,
  sendWardenMessage,
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
  const order = fc.constantFrom<SupervisorOrder>("reload", "request", "stop", {
    restarted: "reporter",
    ended: "exit 1",
  });
  fc.assert(
    fc.property(fc.array(order), (sent) => {
      const merged = Buffer.concat(sent.map(encodeOrder));
      expect(decodeOrders(merged)).toEqual(sent);
    }),
  );
});

test("arbitrary bytes between orders are skipped, and no order is lost with them", () => {
  const order = fc.constantFrom("reload" as const, "request" as const, "stop" as const);
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

test("the warden gets orders and new links in the order in which they were sent", () => {
  const file = openSync("/etc/passwd", "r");
  sendPacket(ours, encodeOrder("reload"));
  sendDescriptors(ours, encodeNewLink({ link: "reporter", wasShutDown: true }), [file]);
  sendDescriptors(ours, encodeNewLink({ link: "examiner", wasShutDown: false }), [file]);
  sendPacket(ours, encodeOrder("stop"));
  const [first, reporter, examiner, last, ...rest] = readWardenControl(theirs);
  expect([first, last, rest]).toEqual(["reload", "stop", []]);
  expect(reporter).toMatchObject({ link: "reporter", wasShutDown: true });
  expect(examiner).toMatchObject({ link: "examiner", wasShutDown: false });
  for (const link of [reporter, examiner]) {
    if (typeof link !== "object" || !("link" in link)) throw new Error("no link");
    expect(fstatSync(link.fd).ino).toBe(fstatSync(file).ino);
    closeDescriptor(link.fd);
  }
  closeDescriptor(file);
});

test("the warden gets the pids of treewarden's processes, and skips what is none", () => {
  sendPacket(ours, encodePids({ supervisor: 10, warden: 4_194_304 }));
  sendPacket(ours, new TextEncoder().encode("pids warden=x reporter=-1 newcomer=3 examiner=12\n"));
  expect(readWardenControl(theirs)).toEqual([
    { pids: { supervisor: 10, warden: 4_194_304 } },
    { pids: { examiner: 12 } },
  ]);
});

test("a link without a descriptor is skipped, and descriptors without a link are closed", () => {
  const before = readdirSync("/proc/self/fd").length;
  sendPacket(ours, encodeNewLink({ link: "reporter", wasShutDown: false }));
  sendDescriptors(ours, new TextEncoder().encode("link to nobody\n"), [0, 1]);
  sendDescriptors(ours, encodeOrder("reload"), [0]);
  expect(readWardenControl(theirs)).toEqual(["reload"]);
  expect(readdirSync("/proc/self/fd").length).toBe(before);
});

test("the supervisor reads the newest status of a warden, and nothing that is none", () => {
  expect(readWardenMessages(ours)).toEqual([]);
  sendWardenMessage({ watching: "netlink" }, theirs);
  sendWardenMessage({ watching: "ebpf" }, theirs);
  sendPacket(theirs, new TextEncoder().encode("stop\n"));
  expect(readWardenMessages(ours)).toEqual([{ watching: "netlink" }, { watching: "ebpf" }]);
  expect(readWardenMessages(ours)).toEqual([]);
});

test("a status of any length is cut to one packet", () => {
  sendWardenMessage({ watching: "x".repeat(10_000) }, theirs);
  expect(readWardenMessages(ours)).toEqual([{ watching: expect.stringMatching(/^x{1000,1024}$/) }]);
});
