import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { LearnedTree, SealedUpdate } from "../../src/baseline/learned.ts";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { socketPair, tryReceive, trySend } from "../../src/linux/socketpair.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { JournalChain } from "../../src/report/journal-chain.ts";
import { Outbox } from "../../src/report/outbox.ts";
import { Totals } from "../../src/report/totals.ts";
import { type Frame, PACKET_LIMIT, parseFrame, type Request } from "../../src/report/wire.ts";

const alive = () => ({ alive: true, reason: "", degraded: [] });
let warden = -1;
let reporter = -1;
let clock = 0;
let totals: Totals;
let outbox: Outbox;

beforeEach(() => {
  [warden, reporter] = socketPair(1 << 20);
  clock = 10_000;
  totals = new Totals();
  outbox = new Outbox({
    fd: warden,
    totals,
    chain: new JournalChain(new Uint8Array(32), { run: "r", generation: 7 }, undefined),
    now: () => clock,
    hello: () => ({
      type: "hello",
      run: "r",
      generation: 7,
      version: "0",
      started: "2026-01-01T00:00:00Z",
      source: "netlink",
      enforcement: "observe",
      policies: [],
    }),
  });
});

afterEach(() => {
  closeDescriptor(warden);
  closeDescriptor(reporter);
});

function record(text: string): EventRecord {
  return { timestamp: "2026-01-01T00:00:00.000000Z", "event.name": "policy.verdict", "log.record.uid": text };
}

function send(request: Request | Uint8Array | string): void {
  const bytes =
    request instanceof Uint8Array
      ? request
      : Buffer.from(typeof request === "string" ? request : JSON.stringify(request));
  trySend(reporter, bytes, bytes.length);
}

/** Everything that has arrived, after one round of the warden's loop or as many as it needs. */
function received(): Frame[] {
  const frames: Frame[] = [];
  const buffer = new Uint8Array(PACKET_LIMIT);
  for (let rounds = 0; rounds < 1_000; rounds += 1) {
    const state = outbox.flush();
    for (let length = tryReceive(reporter, buffer); length > 0; length = tryReceive(reporter, buffer)) {
      const frame = parseFrame(buffer.subarray(0, length));
      expect(frame).toBeDefined();
      if (frame !== undefined) frames.push(frame);
    }
    if (state !== "blocked") break;
  }
  return frames;
}

function numbers(frames: readonly Frame[]): number[] {
  return frames.flatMap((frame) =>
    frame.type === "events" ? frame.records.map((_, i) => frame.first + i) : [],
  );
}

test("a warden greets first, then tells every total", () => {
  const frames = received();
  expect(frames.map((frame) => frame.type)).toEqual(["hello", "totals"]);
  const [, whole] = frames;
  expect(whole?.type === "totals" && whole.whole && whole.changed.length > 20).toBe(true);
});

test("numbered records arrive in order, each once, up to 100 in a packet", () => {
  for (let i = 0; i < 250; i += 1) outbox.reliable(record(`${i}`));
  const events = received().filter((frame) => frame.type === "events");
  expect(events.map((frame) => frame.records.length)).toEqual([100, 100, 50]);
  expect(numbers(events)).toEqual(Array.from({ length: 250 }, (_, i) => i + 1));
  expect(numbers(received())).toEqual([]);
});

test("what is not acknowledged is sent again to the next reporter", () => {
  for (let i = 0; i < 10; i += 1) outbox.reliable(record(`${i}`));
  received();
  send({ type: "ack", generation: 7, n: 4 });
  send({ type: "ready", generation: 7, last: 6 });
  outbox.receive(alive);
  const frames = received();
  expect(frames[0]?.type).toBe("hello");
  expect(numbers(frames)).toEqual([7, 8, 9, 10]);
});

test("an acknowledgement for another warden changes nothing", () => {
  outbox.reliable(record("a"));
  received();
  send({ type: "ack", generation: 6, n: 100 });
  send({ type: "ready", generation: 6, last: 100 });
  outbox.receive(alive);
  expect(numbers(received())).toEqual([1]);
});

const learnedTree = (exact: string): LearnedTree => ({
  ...{ id: "0".repeat(32), scope: "-", exact, habit: exact, path: "/b" },
  ...{ tree: "/b", complete: true, fromMain: false },
  ...{ first: 1, last: 1, count: 1, users: "0", executables: "-", contents: "-" },
  ...{ arguments: null, change: null },
});
const seal = "f".repeat(32);
const learnedUpdate = (exact: string): SealedUpdate => ({
  kind: "tree",
  started: 1,
  learning: "1".repeat(32),
  tree: learnedTree(exact),
  seals: { tree: seal, count: seal, executables: seal },
});

test("what is learned goes in frames of its own, numbered together with events, and is acknowledged with them", () => {
  outbox.reliable(record("a"));
  expect(outbox.learned(learnedUpdate("/b"))).toBe(true);
  expect(outbox.learned(learnedUpdate("/c"))).toBe(true);
  outbox.reliable(record("d"));
  const frames = received().filter((frame) => frame.type === "events" || frame.type === "learned");
  expect(frames).toMatchObject([
    { type: "events", first: 1 },
    { type: "learned", first: 2, updates: [learnedUpdate("/b"), learnedUpdate("/c")] },
    { type: "events", first: 4 },
  ]);
  expect(outbox.unacknowledgedTrees).toBe(2);
  send({ type: "ack", generation: 7, n: 2 });
  outbox.receive(alive);
  expect(outbox.unacknowledgedTrees).toBe(1);
  send({ type: "ack", generation: 7, n: 3 });
  outbox.receive(alive);
  expect(outbox.unacknowledged).toBe(1);
  expect(outbox.unacknowledgedTrees).toBe(0);
});

test("what is learned leaves half of the queue to verdicts, and nothing is dropped: it is offered again", () => {
  let taken = 0;
  while (outbox.learned(learnedUpdate(`/${taken}`))) taken += 1;
  expect(taken).toBe(2_048);
  outbox.reliable(record("verdict"));
  expect(numbers(received()).length + taken).toBe(2_049);
  expect(changeOf("queueDropped", "reliable")).toBe(0);
});

test("what can wait is not dropped from a full queue but refused, and leaves the reserved share free", () => {
  let taken = 0;
  while (outbox.offer(record(`${taken}`), "common")) taken += 1;
  expect(taken).toBe(3_584);
  expect(outbox.offer(record("kill"), "all")).toBe(true);
  expect(numbers(received()).length).toBe(3_585);
  expect(changeOf("queueDropped", "reliable")).toBe(0);
});

test("a full queue drops the new record, counts it, and leaves a gap in the numbers", () => {
  for (let i = 0; i < 4_100; i += 1) outbox.reliable(record(`${i}`));
  send({ type: "ack", generation: 7, n: 4_096 });
  outbox.receive(alive);
  outbox.reliable(record("after"));
  expect(numbers(received())).toEqual([4_101]);
  expect(changeOf("queueDropped", "reliable")).toBe(4);
});

test("best-effort records go last and are dropped first", () => {
  for (let i = 0; i < 3_000; i += 1) outbox.bestEffort(record(`${i}`));
  outbox.reliable(record("verdict"));
  const frames = received();
  expect(frames.map((frame) => frame.type).indexOf("events")).toBe(1);
  const bestEffort = frames.flatMap((frame) => (frame.type === "best-effort" ? frame.records : []));
  expect(bestEffort.length).toBe(2_048);
  expect(changeOf("queueDropped", "best_effort")).toBe(952);
});

/** Asks and reads one total, as a scrape would. */
function changeOf(instrument: string, value: string): unknown {
  send({ type: "ready", generation: 7, last: 5_000 });
  outbox.receive(alive);
  for (const frame of received()) {
    if (frame.type !== "totals") continue;
    for (const change of frame.changed) {
      if (change.instrument === instrument && change.values[0] === value) return change.value;
    }
  }
  return undefined;
}

test("a ping is answered after the totals of that moment", () => {
  received();
  totals.counter("events", { event: "exec" }).add(3);
  send({ type: "ping", id: 42 });
  outbox.receive(() => ({ alive: false, reason: "sensor failed", degraded: [] }));
  const frames = received();
  expect(frames.map((frame) => frame.type)).toEqual(["totals", "pong"]);
  expect(frames[1]).toEqual({ type: "pong", id: 42, alive: false, reason: "sensor failed", degraded: [] });
});

test("totals are told once a second at most, and `due` says when", () => {
  received();
  expect(outbox.due).toBe(-1);
  const execs = totals.counter("events", { event: "exec" });
  clock += 200;
  execs.add(1);
  expect(outbox.due).toBe(800);
  expect(received()).toEqual([]);
  clock += 800;
  execs.add(1);
  const [frame] = received();
  expect(frame?.type === "totals" && frame.changed).toEqual([
    { instrument: "events", values: ["exec"], value: 2, kept: false },
  ]);
  expect(outbox.due).toBe(-1);
});

test("watching lasts as long as the reporter that asked", () => {
  send({ type: "watch", on: true });
  outbox.receive(alive);
  expect(outbox.watched).toBe(true);
  send({ type: "ready", generation: 0, last: 0 });
  outbox.receive(alive);
  expect(outbox.watched).toBe(false);
});

describe("a reporter that is gone, stuck or hostile", () => {
  test("does not block: a full socket says so, and what waits is bounded", () => {
    const long = { ...record("x"), "process.executable.path": "p".repeat(4_000) };
    for (let i = 0; i < 20_000; i += 1) outbox.reliable(long);
    let state = outbox.flush();
    for (let i = 0; i < 200 && state === "blocked"; i += 1) state = outbox.flush();
    expect(state).toBe("blocked");
  });

  test("that is dead for good is told by `closed`", () => {
    closeDescriptor(reporter);
    expect(outbox.receive(alive)).toBe("closed");
    expect(outbox.flush()).toBe("closed");
    reporter = -1;
  });

  test("may send anything: nothing happens, and the next one is understood", () => {
    received();
    const rubbish = [
      new Uint8Array(0),
      new Uint8Array(60_000).fill(0x5b),
      "null",
      "[]",
      '{"type":"ack","generation":7,"n":-1}',
      '{"type":"ack","generation":7,"n":1e400}',
      '{"type":"stop"}',
      '{"type":"watch","on":"yes"}',
    ];
    for (const each of rubbish) send(each);
    send({ type: "ping", id: 1 });
    expect(outbox.receive(alive)).toBe("open");
    expect(received().map((frame) => frame.type)).toEqual(["pong"]);
  });

  test("that floods is read a few packets at a time", () => {
    for (let i = 0; i < 100; i += 1) send({ type: "ping", id: i });
    outbox.receive(alive);
    const pong = received().find((frame) => frame.type === "pong");
    expect(pong).toMatchObject({ id: 15 });
  });
});

test("a record that is too long for a packet arrives shortened", () => {
  outbox.reliable({ ...record("x"), "process.command_args": new Array(5_000).fill("\u00e4".repeat(100)) });
  const frame = received().find((each) => each.type === "events");
  const args = frame?.records[0]?.["process.command_args"];
  expect(Array.isArray(args) && args.length === 33 && args[32] === "...").toBe(true);
});

describe("when the reporter was started again on another socket", () => {
  test("every record that was not acknowledged is sent on it, after a hello, and nothing on the old one", () => {
    for (let i = 1; i <= 5; i += 1) outbox.reliable(record(`u${i}`));
    expect(numbers(received())).toEqual([1, 2, 3, 4, 5]);
    send({ type: "ack", generation: 7, n: 2 });
    outbox.receive(alive);
    const old = [warden, reporter];
    [warden, reporter] = socketPair(1 << 20);
    outbox.connect(warden);
    outbox.reliable(record("u6"));
    const frames = received();
    expect(frames[0]?.type).toBe("hello");
    expect(numbers(frames)).toEqual([3, 4, 5, 6]);
    expect(frames.some((frame) => frame.type === "totals" && frame.whole)).toBe(true);
    old.forEach(closeDescriptor);
  });

  test("a packet that the old socket had no room for is not sent half", () => {
    const [narrow, far] = socketPair(70_000);
    outbox.connect(narrow);
    for (let i = 1; i <= 2_000; i += 1) outbox.reliable(record(`u${i}-${"x".repeat(100)}`));
    expect(outbox.flush()).toBe("blocked");
    outbox.connect(warden);
    expect(numbers(received())).toEqual(Array.from({ length: 2_000 }, (_, i) => i + 1));
    [narrow, far].forEach(closeDescriptor);
  });
});

test("a socket whose reading side the reporter shut down is closed, not read for ever", () => {
  received();
  const script = "import socket; socket.socket(fileno=3).shutdown(socket.SHUT_WR)";
  Bun.spawnSync(["/usr/bin/python3", "-c", script], { stdio: ["ignore", "inherit", "inherit", reporter] });
  expect(outbox.receive(alive)).toBe("closed");
});
