import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { CaptureSink } from "../../src/sensor/capture/decode.ts";
import { MAGIC, VERSION } from "../../src/sensor/capture/format.ts";
import { type ByteSource, type CaptureEnd, openCapture } from "../../src/sensor/capture/read.ts";
import { CaptureWriter } from "../../src/sensor/capture/write.ts";
import type { ProcessEvent, ProcessFacts } from "../../src/sensor/event.ts";
import { header, type Told, told } from "./capture-arbitrary.ts";

const userName = (uid: number): string | undefined => (uid % 2 === 0 ? `user${uid}` : undefined);

function written(story: readonly Told[], finish = true): Uint8Array {
  const parts: Uint8Array[] = [];
  const writer = new CaptureWriter((bytes) => parts.push(bytes.slice()), header, userName);
  for (const one of story) {
    if (one.what === "event") writer.event(one.event);
    else if (one.what === "scan") writer.scan(one.processes, one.time);
    else writer.clock(one.wallOffset);
  }
  if (finish) writer.finish();
  else writer.flush();
  return new Uint8Array(Buffer.concat(parts));
}

function from(bytes: Uint8Array): ByteSource {
  let at = 0;
  return (target) => {
    const part = bytes.subarray(at, at + target.length);
    target.set(part);
    at += part.length;
    return part.length;
  };
}

interface Read {
  readonly story: Told[];
  readonly end: CaptureEnd;
}

function readBack(bytes: Uint8Array): Read {
  const result = openCapture(from(bytes));
  if (!result.ok) throw new Error(result.problem.kind);
  const story: Told[] = [];
  const sink: CaptureSink = {
    event: (event) => story.push({ what: "event", event }),
    scan: (processes, time) => story.push({ what: "scan", processes, time }),
    clock: (wallOffset) => story.push({ what: "clock", wallOffset }),
  };
  const end = result.capture.read(sink);
  return { story, end };
}

/** Reads bytes that may be anything. */
function readAny(bytes: Uint8Array): string {
  const result = openCapture(from(bytes));
  if (!result.ok) return result.problem.kind;
  return result.capture.read({ event() {}, scan() {}, clock() {} }).kind;
}

const program: ProcessFacts = {
  startTicks: 1000,
  parentPid: 700,
  executable: "/usr/bin/dash",
  executableDeleted: false,
  executableMemfd: false,
  executableSetuid: false,
  executableAge: 86_400.5,
  filename: "/bin/sh",
  script: undefined,
  args: ["sh", "-c", "true"],
  argsTruncated: false,
  cwd: "/",
  uid: 0,
  realUid: 0,
  gid: 0,
  loginUid: null,
  sessionId: undefined,
  tty: null,
  cgroup: "/system.slice/cron.service",
  device: 65_025,
  inode: 1_234_567,
  mountNamespace: 4_026_531_841,
  pidNamespace: 4_026_531_836,
  userMounts: true,
};

/** A known program run `count` times, as a sensor with its own clock would tell it. */
function runs(count: number): Told[] {
  const story: Told[] = [];
  const tell = (event: ProcessEvent): void => void story.push({ what: "event", event });
  for (let i = 0; i < count; i++) {
    const time = 5_000_000_000_000 + i * 1_234_567;
    const pid = 1000 + i;
    const startTicks = Math.floor(time / 1e7);
    const executableAge = 86_400.5 + i * 0.001234567;
    tell({ kind: "fork", source: "ebpf", time, pid, parentPid: 700, startTicks, startExact: true });
    const facts = { ...program, startTicks, executableAge };
    tell({ kind: "exec", source: "ebpf", time: time + 300_000, pid, facts });
    tell({ kind: "exit", source: "ebpf", time: time + 900_000, pid, status: 0 });
  }
  return story;
}

describe("a capture", () => {
  test("gives back every event and scan that was written", () => {
    fc.assert(
      fc.property(fc.array(told, { maxLength: 40 }), (story) => {
        const read = readBack(written(story));
        expect(read.end).toEqual({ kind: "complete" });
        expect(read.story).toEqual(story);
      }),
      { numRuns: 300 },
    );
  });

  test("gives back its header", () => {
    const result = openCapture(from(written([])));
    expect(result.ok && result.capture.header).toEqual(header);
  });

  test("knows the names of the users it has met, and no others", () => {
    const result = openCapture(from(written(runs(1))));
    if (!result.ok) throw new Error("not read");
    result.capture.read({ event() {}, scan() {}, clock() {} });
    expect(result.capture.userName(0)).toBe("user0");
    expect(result.capture.userName(2)).toBeUndefined();
  });

  test("takes less than 60 bytes for a known program's fork, exec and exit", () => {
    const many = written(runs(2000)).length - written(runs(1000)).length;
    expect(many / 1000).toBeLessThan(60);
  });

  test("tells a clock that was set, not one that drifts by less than 0.1 ms", () => {
    const set = header.wall_offset_ns + 1e9;
    const story: Told[] = [
      { what: "clock", wallOffset: header.wall_offset_ns + 50_000 },
      { what: "clock", wallOffset: set },
    ];
    expect(readBack(written(story)).story).toEqual([{ what: "clock", wallOffset: set }]);
  });

  test("forgets names in time, so that ever new ones take no more memory than a bound", () => {
    const story = runs(40_000).map((one, i): Told => {
      if (one.what !== "event" || one.event.kind !== "exec") return one;
      const facts = { ...one.event.facts, args: ["sh", `${i}`] };
      return { what: "event", event: { ...one.event, facts } };
    });
    const read = readBack(written(story));
    expect(read.end).toEqual({ kind: "complete" });
    expect(read.story.length).toBe(story.length);
    expect(read.story.at(-2)).toEqual(story.at(-2) ?? { what: "clock", wallOffset: 0 });
  });

  test("says nothing of a text that is longer than any that a sensor reads", () => {
    const facts = { ...program, cwd: `/${"x".repeat(300_000)}` };
    const [read] = readBack(
      written([{ what: "event", event: { kind: "exec", source: "ebpf", time: 1, pid: 2, facts } }]),
    ).story;
    expect(read).toEqual({
      what: "event",
      event: { kind: "exec", source: "ebpf", time: 1, pid: 2, facts: { ...program, cwd: undefined } },
    });
  });
});

describe("a capture that was cut", () => {
  const story = runs(20);
  const parts: Uint8Array[] = [];
  const writer = new CaptureWriter((bytes) => parts.push(bytes.slice()), header, userName);
  for (const one of story) {
    if (one.what === "event") writer.event(one.event);
    writer.flush();
  }
  writer.finish();
  const whole = new Uint8Array(Buffer.concat(parts));

  test("at any byte gives what is whole, in order, and says where it was cut", () => {
    const complete = readBack(whole);
    expect(complete.end.kind).toBe("complete");
    let most = 0;
    for (let length = 0; length < whole.length; length++) {
      const result = openCapture(from(whole.subarray(0, length)));
      if (!result.ok) {
        expect(["not_a_capture", "cut"]).toContain(result.problem.kind);
        expect(most).toBe(0);
        continue;
      }
      const read = readBack(whole.subarray(0, length));
      if (read.end.kind !== "cut") throw new Error(`${read.end.kind} at ${length}`);
      expect(read.end.at).toBeLessThanOrEqual(length);
      expect(read.story).toEqual(complete.story.slice(0, read.story.length));
      expect(read.story.length).toBeGreaterThanOrEqual(most);
      most = read.story.length;
    }
    expect(most).toBe(complete.story.length);
  });

  test("after a whole block, but before the last one, is not taken for complete", () => {
    expect(readBack(written(story, false)).end.kind).toBe("cut");
  });

  test("and filled up with zeros by the file system is cut there", () => {
    const filled = new Uint8Array(whole.length + 4096);
    const cut = written(story, false);
    filled.set(cut);
    expect(readBack(filled).end).toEqual({ kind: "cut", at: cut.length });
  });
});

describe("a capture that was changed", () => {
  const whole = written(runs(50));

  test("at any one byte is refused, or read up to there", () => {
    for (let at = 0; at < whole.length; at += 7) {
      const changed = whole.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x41;
      expect(["not_a_capture", "version", "cut", "damaged"]).toContain(readAny(changed));
    }
  });

  test("into one with right checksums and wrong entries is read without a fault and within bounds", () => {
    fc.assert(
      fc.property(
        fc.array(told, { maxLength: 10 }),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 8 }),
        (story, changes) => {
          expect(["complete", "cut", "damaged"]).toContain(readAny(resealed(written(story), changes)));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("into arbitrary entries is read without a fault", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (entries) => {
        const payload = Uint8Array.of(2, ...entries);
        const bytes = new Uint8Array(Buffer.concat([written([], false), sealed(payload)]));
        expect(["cut", "damaged"]).toContain(readAny(bytes));
      }),
      { numRuns: 5000 },
    );
  });
});

describe("what is no capture", () => {
  test("is called so, whatever it is", () => {
    expect(readAny(new Uint8Array(0))).toBe("not_a_capture");
    expect(readAny(new TextEncoder().encode("#!/bin/sh\necho a long enough text\n"))).toBe("not_a_capture");
  });

  test("nor is one of a later version read", () => {
    const result = openCapture(from(Uint8Array.of(...MAGIC, VERSION + 1, 0, 0)));
    expect(result).toEqual({ ok: false, problem: { kind: "version", version: VERSION + 1 } });
  });

  test("no length it claims is allocated before it is checked", () => {
    const claims = new Uint8Array(16);
    claims.set([...MAGIC, VERSION, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    const result = openCapture(from(claims));
    expect(result).toEqual({
      ok: false,
      problem: { kind: "damaged", at: 8, why: "a block's length is wrong" },
    });
  });
});

function sealed(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, Bun.hash.crc32(payload), true);
  bytes.set(payload, 8);
  return bytes;
}

/** Changes bytes of the entries (not of the header), and makes the checksums right again. */
function resealed(bytes: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array {
  const blocks: Uint8Array[] = [];
  const view = new DataView(bytes.buffer);
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at, true);
    blocks.push(bytes.slice(at + 8, at + 8 + length));
    at += 8 + length;
  }
  const entries = blocks.find((payload) => payload[0] === 2);
  if (entries !== undefined) {
    for (const [where, value] of changes) entries[1 + (where % (entries.length - 1))] = value;
  }
  return new Uint8Array(Buffer.concat([bytes.slice(0, 8), ...blocks.map(sealed)]));
}
