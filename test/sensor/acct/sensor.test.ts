import { afterAll, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  type AcctRecord,
  parseAccountingRecord,
  RECORD_BYTES,
} from "../../../src/sensor/acct/accounting-record.ts";
import { openAcctSensor } from "../../../src/sensor/acct/sensor.ts";
import { storyOf } from "../../../src/sensor/acct/story.ts";
import type { ProcessEvent } from "../../../src/sensor/event.ts";
import { SensorUnavailable } from "../../../src/sensor/unavailable.ts";
import { readRunning } from "../acct-running.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-acct-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A record of linux/acct.h, byte by byte: `sleep 0.3` of user 1000 on pts/3, ended by SIGKILL. */
const sleeper = Uint8Array.from(
  [
    [0x10, 3], // ac_flag AXSIG, ac_version
    [0x03, 0x88], // ac_tty 136:3
    [9, 0, 0, 0], // ac_exitcode
    [0xe8, 3, 0, 0], // ac_uid
    [0xe8, 3, 0, 0], // ac_gid
    [0x39, 0x30, 0, 0], // ac_pid 12345
    [1, 0, 0, 0], // ac_ppid
    [0, 0xf1, 0x53, 0x65], // ac_btime 1,700,000,000
    [0, 0, 0xf0, 0x41], // ac_etime 30.0 ticks
    new Array<number>(16).fill(0), // ac_utime to ac_swaps
    [..."sleep"].map((letter) => letter.charCodeAt(0)), // ac_comm
    new Array<number>(11).fill(0),
  ].flat(),
);

interface Made {
  readonly pid: number;
  readonly ppid: number;
  readonly btime: number;
  readonly seconds: number;
  readonly comm: string;
  readonly forkedOnly?: boolean;
}

function record(made: Made): AcctRecord {
  return { forkedOnly: false, status: 0, realUid: 0, realGid: 0, tty: 0, ...made };
}

function bytesOf(made: Made): Uint8Array {
  const bytes = sleeper.slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(16, made.pid, true);
  view.setUint32(20, made.ppid, true);
  view.setUint32(24, made.btime, true);
  view.setFloat32(28, made.seconds * 100, true);
  bytes.fill(0, 48);
  bytes.set(new TextEncoder().encode(made.comm), 48);
  return bytes;
}

const clocks = { wallOffset: 1_700_000_000e9, suspended: 0 };

describe("an accounting record", () => {
  test("is read as the kernel lays it out", () => {
    expect(sleeper.length).toBe(RECORD_BYTES);
    expect(parseAccountingRecord(sleeper)).toEqual({
      forkedOnly: false,
      status: 9,
      realUid: 1000,
      realGid: 1000,
      pid: 12_345,
      ppid: 1,
      btime: 1_700_000_000,
      seconds: 0.3,
      tty: 0x8803,
      comm: "sleep",
    });
  });

  test("that says a core was dumped has the status that wait(2) gives", () => {
    const aborted = sleeper.slice();
    aborted.set([0x1a, 3]);
    aborted.set([6], 4);
    expect(parseAccountingRecord(aborted)).toMatchObject({ status: 0x86 });
  });

  test("of another version, or of the other byte order, is refused", () => {
    const old = sleeper.slice();
    old[1] = 2;
    expect(parseAccountingRecord(old)).toEqual({ failure: "a record of version 2, not of version 3" });
    old[1] = 0x83;
    expect(parseAccountingRecord(old)).toEqual({ failure: "a record of a big-endian kernel" });
  });

  test("of arbitrary bytes is refused or has a name of at most 16 bytes and a life that is no nonsense", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (bytes) => {
        bytes[1] = 3;
        const parsed = parseAccountingRecord(bytes);
        if ("failure" in parsed) throw new Error(parsed.failure);
        expect(parsed.comm.length).toBeLessThanOrEqual(16);
        expect(parsed.seconds).toBeWithin(0, 2 ** 32);
      }),
    );
  });
});

describe("the story of a batch of records", () => {
  const shell = { pid: 10, ppid: 1, btime: 1_700_000_100, seconds: 3, comm: "sh" };
  const child = { pid: 11, ppid: 10, btime: 1_700_000_101, seconds: 1, comm: "curl" };

  function told(records: readonly Made[]): string[] {
    return storyOf(records.map(record), clocks).map((event) => {
      if (event.kind === "loss") return "loss";
      return event.kind === "fork" ? `fork ${event.pid} of ${event.parentPid}` : `${event.kind} ${event.pid}`;
    });
  }

  test("begins with the parent, whose record comes last", () => {
    expect(told([child, shell])).toEqual([
      "fork 10 of 1",
      "exec 10",
      "fork 11 of 10",
      "exec 11",
      "exit 11",
      "exit 10",
    ]);
  });

  test("has parents before children even where the seconds of their starts say otherwise", () => {
    const late = { ...shell, btime: 1_700_000_102 };
    const story = told([child, late]);
    expect(story.indexOf("fork 10 of 1")).toBeLessThan(story.indexOf("fork 11 of 10"));
    expect(story.indexOf("fork 11 of 10")).toBeLessThan(story.indexOf("exit 10"));
  });

  test("has no exec for a process that only forked", () => {
    expect(told([{ ...child, forkedOnly: true }])).toEqual(["fork 11 of 10", "exit 11"]);
  });

  test("does not take a later process with the parent's pid for the parent", () => {
    const later = { ...shell, btime: 1_700_009_000 };
    expect(told([child, later]).slice(0, 3)).toEqual(["fork 11 of 10", "exec 11", "exit 11"]);
  });

  test("names nothing that accounting cannot know", () => {
    const exec = storyOf([record(child)], clocks).find((event) => event.kind === "exec");
    if (exec?.kind !== "exec") throw new Error("no exec");
    const known = Object.entries(exec.facts).filter(([, value]) => value !== undefined && value !== false);
    expect(Object.fromEntries(known)).toEqual({ parentPid: 10, realUid: 0, tty: null, comm: "curl" });
  });

  test("starts every process after its parent's start and before its parent's end, whatever the seconds say", () => {
    const any = fc.record({
      ppid: fc.integer({ min: 1, max: 12 }),
      btime: fc.integer({ min: 1_700_000_000, max: 1_700_000_003 }),
      seconds: fc.double({ min: 0, max: 5, noNaN: true }),
      comm: fc.constantFrom("a", "b"),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 12 }), (lives) => {
        const records = lives.map((life, index) => record({ ...life, pid: index + 2 }));
        const story = storyOf(records, clocks);
        const at = (kind: string, pid: number): number =>
          story.findIndex((event) => event.kind === kind && event.kind !== "loss" && event.pid === pid);
        expect(story.length).toBe(records.length * 3);
        expect(story.map((event) => event.time)).toEqual(
          story.map((event) => event.time).toSorted((a, b) => a - b),
        );
        for (const [index, { pid, ppid, btime }] of records.entries()) {
          expect(at("fork", pid)).toBeLessThan(at("exit", pid));
          const parent = records[ppid - 2];
          if (parent === undefined || ppid - 2 <= index || parent.btime > btime + 1) continue;
          expect(at("fork", ppid)).toBeLessThan(at("fork", pid));
          expect(at("fork", pid)).toBeLessThan(at("exit", ppid));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("an accounting file", () => {
  const one = { pid: 70, ppid: 1, btime: 1_700_000_100, seconds: 1, comm: "one" };

  test("is read from its start, and then as it grows", async () => {
    const path = join(folder, "grows");
    writeFileSync(path, bytesOf(one));
    using sensor = openAcctSensor(path);
    const events: ProcessEvent[] = [];
    await readRunning(sensor, events, 3);
    appendFileSync(path, bytesOf({ ...one, pid: 71 }));
    await readRunning(sensor, events, 6);
    expect(events.map((event) => (event.kind === "loss" ? 0 : event.pid))).toEqual([70, 70, 70, 71, 71, 71]);
  });

  test("whose last record is still being written waits for the rest of it", async () => {
    const path = join(folder, "half");
    const bytes = bytesOf(one);
    writeFileSync(path, bytes);
    using sensor = openAcctSensor(path);
    const events: ProcessEvent[] = [];
    await readRunning(sensor, events, 3);
    appendFileSync(path, bytes.subarray(0, 40));
    await readRunning(sensor, events, 4, 300);
    expect(events.length).toBe(3);
    appendFileSync(path, bytes.subarray(40));
    await readRunning(sensor, events, 6);
    expect(events.length).toBe(6);
  });

  test("that was emptied is read from its new start, and the loss is told", async () => {
    const path = join(folder, "emptied");
    writeFileSync(path, new Uint8Array([...bytesOf(one), ...bytesOf(one)]));
    using sensor = openAcctSensor(path);
    const events: ProcessEvent[] = [];
    await readRunning(sensor, events, 6);
    truncateSync(path);
    appendFileSync(path, bytesOf({ ...one, pid: 72 }));
    await readRunning(sensor, events, 10);
    expect(events.slice(6).map((event) => event.kind)).toEqual(["loss", "fork", "exec", "exit"]);
  });

  test("that is broken in the middle is told up to there, and then fails with the place", async () => {
    const path = join(folder, "broken");
    writeFileSync(path, new Uint8Array([...bytesOf(one), ...new Uint8Array(RECORD_BYTES)]));
    using sensor = openAcctSensor(path);
    const events: ProcessEvent[] = [];
    await readRunning(sensor, events, 3);
    expect(events.length).toBe(3);
    await expect(readRunning(sensor, events, 4)).rejects.toThrow(/at byte 64: a record of version 0/);
  });

  test("that is none is refused with the reason", () => {
    const path = join(folder, "none");
    writeFileSync(path, "this is an ordinary file with a text of more than sixty-four bytes in it\n");
    expect(() => openAcctSensor(path)).toThrow(SensorUnavailable);
    expect(() => openAcctSensor(path)).toThrow(/version/);
    expect(() => openAcctSensor(folder)).toThrow(/not a regular file/);
    expect(() => openAcctSensor(join(folder, "missing"))).toThrow(/ENOENT/);
  });
});
