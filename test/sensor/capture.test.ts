import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BlockWriter } from "../../src/sensor/capture/blocks.ts";
import { openCapture, verifyCapture } from "../../src/sensor/capture/capture-reader.ts";
import { CaptureWriter } from "../../src/sensor/capture/capture-writer.ts";
import { CONTENT_LIMIT, compressFrame, storeFrame } from "../../src/sensor/capture/frame.ts";
import { headerLine } from "../../src/sensor/capture/header.ts";
import type { CaptureItem } from "../../src/sensor/capture/items.ts";
import type { ExecEvent, ProcessFacts } from "../../src/sensor/event.ts";
import { header, item } from "./capture-arbitrary.ts";
import {
  captureOf,
  framesOf,
  joined,
  linesOf,
  outcomeOf,
  readBack,
  sourceOf,
  userName,
} from "./capture-fixture.ts";

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
  executableTrusted: true,
  environment: new Map([
    ["LD_PRELOAD", "/usr/lib/libx=1.so"],
    ["BASH_ENV", null],
  ]),
  environmentTruncated: false,
};

function exec(facts: Partial<ProcessFacts>): ExecEvent {
  return { kind: "exec", source: "ebpf", time: 5e12, pid: 900, facts: { ...program, ...facts } };
}

/** A known program run `count` times, as a sensor with its own clock would report it. */
function runs(count: number): CaptureItem[] {
  const items: CaptureItem[] = [];
  for (let i = 0; i < count; i++) {
    const time = 5_000_000_000_000 + i * 1_234_567;
    const pid = 1000 + i;
    const startTicks = Math.floor(time / 1e7);
    const executableAge = 86_400.5 + i * 0.001234567;
    const source = "ebpf";
    items.push({ kind: "fork", source, time, pid, parentPid: 700, startTicks, startExact: true });
    items.push({ ...exec({ startTicks, executableAge }), time: time + 300_000, pid });
    items.push({ kind: "exit", source, time: time + 900_000, pid, status: 0 });
  }
  return items;
}

describe("a capture", () => {
  test("gives back everything that was written, in order", () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 40 }), (items) => {
        const read = readBack(captureOf(items));
        expect(read.end).toEqual({ kind: "ended", reason: "complete" });
        expect(read.items).toEqual(items);
      }),
      { numRuns: 200 },
    );
  });

  test("gives back its header", () => {
    const result = openCapture(sourceOf(captureOf([])));
    expect(result.ok && result.capture.header).toEqual(header);
  });

  test("is JSON lines for every program that reads zstd, under the names of the vocabulary", () => {
    const lines = linesOf(captureOf([exec({})]));
    expect(lines.map((line) => line["event.name"])).toEqual([
      "capture.header",
      "capture.block",
      "capture.user_name",
      "process.exec",
      "capture.end",
    ]);
    expect(lines[3]).toMatchObject({
      "sensor.source": "ebpf",
      "process.pid": 900,
      "process.executable.path": "/usr/bin/dash",
      "process.command_args": ["sh", "-c", "true"],
      "process.user.id": 0,
    });
  });

  test("tells an argument with a newline from one with the four characters \\x0a", () => {
    const items = [exec({ args: ["\n"] }), exec({ args: ["\\x0a"] })];
    expect(readBack(captureOf(items)).items).toEqual(items);
    const args = linesOf(captureOf(items)).flatMap((line) => line["process.command_args"] ?? []);
    expect(args).toEqual(["\\x0a", "\\\\x0a"]);
  });

  test("leaves out what is not known, and has null for what there is really none of", () => {
    const [line] = linesOf(captureOf([exec({ tty: null, cwd: undefined })])).slice(-2);
    expect(line).toHaveProperty(["process.tty"], null);
    expect(line).not.toHaveProperty(["process.working_directory"]);
  });

  test("has integers beyond 2^53 as text, which no other program rounds", () => {
    const [line] = linesOf(captureOf([exec({ inode: 2 ** 60, device: 2 ** 40 })])).slice(-2);
    expect(line).toMatchObject({
      "process.executable.inode": "1152921504606846976",
      "process.executable.device": 1_099_511_627_776,
    });
  });

  test("has the name of each user once, before the first event of that user", () => {
    const named = linesOf(captureOf([exec({ uid: 0 }), exec({ uid: 0 }), exec({ uid: 3 })])).filter(
      (line) => line["event.name"] === "capture.user_name",
    );
    expect(named).toEqual([
      { "event.name": "capture.user_name", "process.user.id": 0, "process.user.name": "user0" },
    ]);
  });

  test("takes less than 60 bytes for a known program's fork, exec and exit", () => {
    const many = captureOf(runs(10_000)).length - captureOf(runs(5_000)).length;
    expect(many / 5_000).toBeLessThan(60);
  });

  test("has a clock that was set, not one that drifts by less than 0.1 ms", () => {
    const set = header.wallOffset + 1e9;
    const items: CaptureItem[] = [
      { kind: "clock", wallOffset: header.wallOffset + 50_000, suspended: 0 },
      { kind: "clock", wallOffset: set, suspended: 0 },
    ];
    expect(readBack(captureOf(items)).items).toEqual(items.slice(1));
  });

  test("keeps no text that is longer than any that a sensor reads", () => {
    const read = readBack(captureOf([exec({ cwd: `/${"x".repeat(300_000)}` })]));
    expect(read.items).toEqual([exec({ cwd: undefined })]);
  });

  test("has the longest arguments that can be configured, whatever their bytes are", () => {
    const items = [exec({ args: ["\udc80".repeat(131_072)] })];
    expect(readBack(captureOf(items)).items).toEqual(items);
  });

  test("says why it ended if that was not its end", () => {
    const frames: Uint8Array[] = [];
    const writer = new CaptureWriter((frame) => frames.push(frame), header, userName);
    writer.event(exec({}));
    writer.end("overrun");
    expect(readBack(joined(frames)).end).toEqual({ kind: "ended", reason: "overrun" });
    expect(verifyCapture(sourceOf(joined(frames)))).toEqual({ kind: "ended", reason: "overrun", events: 1 });
  });

  test("that is redacted has neither secrets nor the names of people", () => {
    const frames: Uint8Array[] = [];
    const redaction = {
      args: () => ["sh", "[redacted]"],
      environment: () => new Map([["ENV", "[redacted]"]]),
      userName: (uid: number) => `user${uid}`,
    };
    const writer = new CaptureWriter(
      (frame) => frames.push(frame),
      header,
      () => "alice",
      redaction,
    );
    writer.event(exec({ args: ["sh", "secret"], environment: new Map([["ENV", "secret"]]) }));
    writer.end();
    const text = JSON.stringify(linesOf(joined(frames)));
    expect(text).toContain("[redacted]");
    expect(text).not.toMatch(/secret|alice/);
  });
});

describe("a capture that was cut", () => {
  const frames = framesOf(runs(2), true, true);
  const whole = joined(frames);

  test("at any byte gives what is whole, in order, and says where it was cut", () => {
    const complete = readBack(whole).items;
    let most = 0;
    for (let length = 0; length < whole.length; length++) {
      const cut = whole.subarray(0, length);
      const result = openCapture(sourceOf(cut));
      if (!result.ok) {
        expect(["not_a_capture", "cut"]).toContain(result.problem.kind);
        expect(most).toBe(0);
        continue;
      }
      const read = readBack(cut);
      if (read.end.kind !== "cut") throw new Error(`${read.end.kind} at ${length}`);
      expect(read.end.at).toBeLessThanOrEqual(length);
      expect(read.items.length).toBeGreaterThanOrEqual(most);
      if (read.items.length > most) expect(read.items).toEqual(complete.slice(0, read.items.length));
      most = read.items.length;
    }
    expect(most).toBe(complete.length);
  });

  test("after a whole block, but before the last one, is not taken for complete", () => {
    expect(readBack(captureOf(runs(20), false)).end.kind).toBe("cut");
  });

  test("and filled up with zeros by the file system is cut there", () => {
    const cut = captureOf(runs(20), false);
    const filled = new Uint8Array(cut.length + 4096);
    filled.set(cut);
    expect(readBack(filled).end).toEqual({ kind: "cut", at: cut.length });
  });
});

describe("a capture that was changed", () => {
  const frames = framesOf(runs(2), true, true);
  const damaged = (changed: readonly Uint8Array[]): boolean => {
    const kind = outcomeOf(joined(changed));
    return kind === "damaged" || kind === "cut" || kind === "not_a_capture";
  };

  test("in any one bit is refused, or read up to there", () => {
    const whole = joined(frames);
    for (let at = 0; at < whole.length; at++) {
      const changed = whole.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      expect(["not_a_capture", "cut", "damaged"]).toContain(outcomeOf(changed));
    }
  });

  test("by removing, doubling or exchanging any blocks is found", () => {
    for (let at = 0; at < frames.length; at++) {
      expect([at, damaged(frames.toSpliced(at, 1))]).toEqual([at, true]);
      const block = frames[at];
      if (block === undefined) continue;
      expect([at, damaged(frames.toSpliced(at, 0, block))]).toEqual([at, true]);
      for (let other = at + 1; other < frames.length; other++) {
        const moved = frames.toSpliced(other, 1).toSpliced(at, 0, frames[other] ?? block);
        expect([at, other, damaged(moved)]).toEqual([at, other, true]);
      }
    }
  });

  test("by a block of another capture, or by anything after its end, is found", () => {
    const other = framesOf(runs(3).slice(3), true, true);
    for (let at = 0; at < frames.length; at++) {
      const block = other[at];
      if (block !== undefined && at !== 0) expect([at, damaged(frames.with(at, block))]).toEqual([at, true]);
    }
    expect(damaged([...frames, new Uint8Array([1])])).toBe(true);
    expect(damaged([...frames, frames.at(-1) ?? new Uint8Array()])).toBe(true);
  });

  test("into lines that no writer makes, in a chain that is right, is read without a fault", () => {
    const value = fc.oneof(fc.anything({ maxDepth: 2 }), fc.string(), fc.double(), fc.constant(null));
    const lines = linesOf(captureOf(runs(3))).slice(2, -1);
    const broken = fc
      .tuple(
        fc.constantFrom(...lines),
        fc.array(fc.tuple(fc.constantFrom(...lines.flatMap(Object.keys)), value)),
      )
      .map(([line, changes]) => ({ ...line, ...Object.fromEntries(changes) }));
    fc.assert(
      fc.property(fc.array(fc.oneof(broken, fc.dictionary(fc.string(), value))), (hostile) => {
        expect(["damaged", "ended"]).toContain(outcomeOf(chained(hostile)));
      }),
      { numRuns: 300 },
    );
  });

  test("into arbitrary bytes behind the start of a frame is read without a fault", () => {
    const [first] = framesOf([], false);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const start = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd]);
        expect(["cut", "damaged"]).toContain(outcomeOf(joined([first ?? start, start, bytes])));
      }),
      { numRuns: 1000 },
    );
  });
});

/** A capture whose blocks and end are right, whatever its lines are. */
function chained(lines: readonly object[]): Uint8Array {
  const frames: Uint8Array[] = [];
  const blocks = new BlockWriter(headerLine(header), (frame) => frames.push(frame));
  for (const line of lines) blocks.add({ ...line });
  blocks.end(0, "complete");
  return joined(frames);
}

describe("a hostile capture", () => {
  const [start = new Uint8Array()] = framesOf([], false);

  test("cannot make a reader allocate more than a block may hold", () => {
    const bomb = compressFrame(new Uint8Array(CONTENT_LIMIT + 1));
    expect(bomb.length).toBeLessThan(1000);
    expect(readBack(joined([start, bomb])).end).toMatchObject({
      kind: "damaged",
      why: expect.stringContaining("longer"),
    });
  });

  test("cannot hold more in a frame than the frame says", () => {
    const lying = compressFrame(new Uint8Array(1_000_000));
    // Frame_Content_Size of four bytes, behind magic and descriptor.
    new DataView(lying.buffer, lying.byteOffset).setUint32(5, 10, true);
    expect(readBack(joined([start, lying])).end.kind).toBe("damaged");
  });

  test("cannot stall a reader with a deeply nested line, or with lines without end", () => {
    const nested = storeFrame(new TextEncoder().encode(`${"[".repeat(100_000)}\n`));
    expect(readBack(joined([start, nested])).end.kind).toBe("damaged");
    const long = compressFrame(new TextEncoder().encode(`{"a":"${"x".repeat(3_000_000)}"}\n`));
    expect(readBack(joined([start, long])).end).toMatchObject({ kind: "damaged" });
  });

  test("cannot go on with a scan or a text without end", () => {
    const part = { "event.name": "capture.text", "capture.text_name": "policy", "capture.text_end": false };
    const lines = Array.from({ length: 70 }, () => ({ ...part, "capture.text": "x".repeat(1_000_000) }));
    expect(readBack(chained(lines)).end).toMatchObject({
      kind: "damaged",
      why: expect.stringContaining("text"),
    });
  });
});

describe("what is no capture", () => {
  test("is called so, whatever it is", () => {
    expect(outcomeOf(new Uint8Array(0))).toBe("not_a_capture");
    expect(outcomeOf(new TextEncoder().encode("#!/bin/sh\necho a long enough text\n"))).toBe("not_a_capture");
  });

  test("but of the binary format that came before is called that", () => {
    expect(outcomeOf(new Uint8Array([0x89, 0x54, 0x57, 0x43, 0x41, 0x50, 0x0a, 1, 0, 0]))).toBe("binary");
  });

  test("nor is one of a later version read", () => {
    const frames: Uint8Array[] = [];
    new BlockWriter({ ...headerLine(header), "capture.version": 3 }, (frame) => frames.push(frame));
    expect(openCapture(sourceOf(joined(frames)))).toEqual({
      ok: false,
      problem: { kind: "version", version: 3 },
    });
  });
});
