// Records of the eBPF programs, made by hand, into events.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Decoder } from "../../../src/sensor/ebpf/decode.ts";
import { KnownUsers } from "../../../src/sensor/ebpf/known-users.ts";
import {
  commonLayout,
  execLayout,
  exitLayout,
  forkLayout,
  recordFlags,
  recordKinds,
} from "../../../src/sensor/ebpf/layout.ts";
import type { ExecEvent, ProcessEvent } from "../../../src/sensor/event.ts";
import { StringCache } from "../../../src/sensor/string-cache.ts";
import { type ExecRecord, execRecord, record } from "./records.ts";

const second = 1_000_000_000n;

function decodeWith(decoder: Decoder, bytes: Uint8Array): ProcessEvent[] {
  const events: ProcessEvent[] = [];
  const words = new Uint32Array(bytes.buffer, 0, bytes.length >>> 2);
  decoder.decode(bytes, words, 0, bytes.length, (event) => events.push(event));
  return events;
}

const decoder = () => new Decoder({ audit: true, cgroups: true });

function decodeExec(from: ExecRecord, by = decoder()): ExecEvent {
  const [event] = decodeWith(by, execRecord(from));
  if (event?.kind !== "exec") throw new Error("no exec");
  return event;
}

const forkRecord = (pid: number, parentPid: number, uid: number, start = 0n) =>
  record(
    forkLayout.size,
    {
      [commonLayout.kind]: recordKinds.fork,
      [commonLayout.pid]: pid,
      [forkLayout.parentPid]: parentPid,
      [forkLayout.uid]: uid,
      [forkLayout.realUid]: uid,
      [forkLayout.execId]: 3,
    },
    { [commonLayout.time]: 5n, [forkLayout.start]: start },
  );

describe("a fork", () => {
  test("names parent and child, and the child's start to the tick", () => {
    const event = decodeWith(decoder(), forkRecord(8, 7, 0, 12n * second + 349_999_999n)).at(-1);
    expect(event).toEqual({
      kind: "fork",
      source: "ebpf",
      time: 5,
      pid: 8,
      parentPid: 7,
      startTicks: 1234,
      startExact: true,
      execId: 3,
    });
  });

  test("rounds the start down as the kernel does, after years of uptime too", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 62n), (ns) => {
        const event = decodeWith(decoder(), forkRecord(8, 7, 0, ns)).at(-1);
        expect(event?.kind === "fork" && BigInt(event.startTicks)).toBe(ns / 10_000_000n);
      }),
    );
  });

  test("tells the parent's user first, once, and again when it has changed", () => {
    const by = decoder();
    const kindsOf = (bytes: Uint8Array) => decodeWith(by, bytes).map(({ kind }) => kind);
    expect(decodeWith(by, forkRecord(8, 7, 33))[0]).toEqual({
      kind: "user",
      source: "ebpf",
      time: 5,
      pid: 7,
      uid: 33,
      realUid: 33,
    });
    expect(kindsOf(forkRecord(9, 7, 33))).toEqual(["fork"]);
    // The child's is known from the fork.
    expect(kindsOf(forkRecord(10, 9, 33))).toEqual(["fork"]);
    expect(kindsOf(forkRecord(11, 7, 0))).toEqual(["user", "fork"]);
  });

  test("tells every user again after a loss", () => {
    const by = decoder();
    decodeWith(by, forkRecord(8, 7, 33));
    by.forget();
    expect(decodeWith(by, forkRecord(9, 7, 33)).map(({ kind }) => kind)).toEqual(["user", "fork"]);
  });
});

test("an exit has the raw wait status", () => {
  const bytes = record(
    exitLayout.size,
    { [commonLayout.kind]: recordKinds.exit, [commonLayout.pid]: 8, [exitLayout.status]: 0x8b },
    { [commonLayout.time]: 2n ** 40n },
  );
  expect(decodeWith(decoder(), bytes)).toEqual([
    { kind: "exit", source: "ebpf", time: 2 ** 40, pid: 8, status: 0x8b },
  ]);
});

describe("an exec", () => {
  test("has its texts as they were", () => {
    const { facts } = decodeExec({
      filename: "./true",
      args: ["true", "", "a b", "line\nline"],
      tty: "pts3",
      cgroup: "/system.slice/cron.service",
      executable: "/usr/bin/true",
      cwd: "/var/spool",
    });
    expect(facts).toMatchObject({
      filename: "./true",
      args: ["true", "", "a b", "line\nline"],
      tty: "pts/3",
      cgroup: "/system.slice/cron.service",
      executable: "/usr/bin/true",
      executableDeleted: false,
      executableMemfd: false,
      cwd: "/var/spool",
    });
    expect(facts.script).toBeUndefined();
  });

  test("of a script has the path the kernel was given as the script", () => {
    const { facts } = decodeExec({
      filename: "bin/x.sh",
      executable: "/usr/bin/dash",
      flags: recordFlags.script,
    });
    expect(facts.script).toBe("bin/x.sh");
  });

  test("that the kernel ended, or should have, says so", () => {
    const { prevented, preventionFailed } = recordFlags;
    expect(decodeExec({})).toMatchObject({ prevented: false, preventionFailed: false });
    expect(decodeExec({ flags: prevented })).toMatchObject({ prevented: true, preventionFailed: false });
    expect(decodeExec({ flags: preventionFailed })).toMatchObject({
      prevented: false,
      preventionFailed: true,
    });
  });

  test("without a terminal, login user or session says so", () => {
    const { facts } = decodeExec({
      executable: "/x",
      words: { [execLayout.loginUid]: 0xffff_ffff, [execLayout.sessionId]: 0xffff_ffff },
    });
    expect(facts.tty).toBeNull();
    expect(facts.loginUid).toBeNull();
    expect(facts.sessionId).toBeUndefined();
  });

  test("of a kernel that does not keep login users knows none", () => {
    const { facts } = decodeExec({ executable: "/x" }, new Decoder({ audit: false, cgroups: false }));
    expect(facts.loginUid).toBeUndefined();
    expect(facts.cgroup).toBeUndefined();
  });

  test("at the root of the hierarchies and of the file system is at /", () => {
    const { facts } = decodeExec({ executable: "/x" });
    expect(facts.cgroup).toBe("/");
    expect(facts.cwd).toBe("/");
  });

  test("from memory is a memfd, which nobody has removed", () => {
    const { facts } = decodeExec({
      executable: "/memfd:payload",
      flags: recordFlags.nameless | recordFlags.deleted,
    });
    expect(facts).toMatchObject({
      executable: "memfd:payload",
      executableMemfd: true,
      executableDeleted: false,
    });
  });

  test("of a file that only looks like a memfd is none", () => {
    const { facts } = decodeExec({ executable: "/memfd:payload" });
    expect(facts).toMatchObject({ executable: "/memfd:payload", executableMemfd: false });
  });

  test("of a removed file keeps its last name", () => {
    const { facts } = decodeExec({ executable: "/tmp/x (deleted)", flags: recordFlags.deleted });
    expect(facts).toMatchObject({ executable: "/tmp/x (deleted)", executableDeleted: true });
  });

  test("of what could not be read whole knows nothing of it", () => {
    const { facts } = decodeExec({
      executable: "/a/b",
      cwd: "/c",
      flags:
        recordFlags.executableCut | recordFlags.cwdCut | recordFlags.cgroupCut | recordFlags.argsUnreadable,
    });
    expect(facts.executable).toBeUndefined();
    expect(facts.executableMemfd).toBeUndefined();
    expect(facts.cwd).toBeUndefined();
    expect(facts.cgroup).toBeUndefined();
    expect(facts.args).toBeUndefined();
  });

  test("has the device as stat(2) gives it, set-id bits, and the file's age", () => {
    const by = decoder();
    by.realtime = 1_000 * 1e9;
    const { facts } = decodeExec(
      {
        executable: "/x",
        words: {
          [execLayout.device]: (8 << 20) | 0x123,
          [execLayout.mode]: 0o102755,
          [execLayout.changedNanoseconds]: 500_000_000 + 2 ** 31,
        },
        longs: {
          [commonLayout.time]: 10n * second,
          [execLayout.changed]: 1_000n,
          [execLayout.inode]: 2n ** 33n + 1n,
        },
      },
      by,
    );
    expect(facts.device).toBe(0x10_0823);
    expect(facts.executableSetuid).toBe(true);
    expect(facts.executableAge).toBeCloseTo(9.5);
    expect(facts.inode).toBe(2 ** 33 + 1);
  });

  test("with any arguments and paths gives just these back", () => {
    const element = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
      .map((text) => text.replace(/[\0/]/g, "_"));
    const path = fc
      .array(element, { minLength: 1, maxLength: 8 })
      .map((elements) => `/${elements.join("/")}`);
    const argument = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\0", ""));
    const by = decoder();
    fc.assert(
      fc.property(path, path, fc.array(argument, { minLength: 1, maxLength: 6 }), (executable, cwd, args) => {
        expect(decodeExec({ executable, cwd, args }, by).facts).toMatchObject({ executable, cwd, args });
      }),
    );
  });

  test("keeps bytes that are not UTF-8", () => {
    const bytes = execRecord({ args: ["??"], executable: "/x" });
    bytes[execLayout.texts] = 0xff;
    const [event] = decodeWith(decoder(), bytes);
    expect(event?.kind === "exec" && event.facts.args).toEqual(["\udcff?"]);
  });
});

describe("remembered texts", () => {
  const decode = (bytes: Uint8Array, start: number, end: number) =>
    Buffer.from(bytes.subarray(start, end)).toString("latin1");

  test("are made once", () => {
    let made = 0;
    const texts = new StringCache(16, (...range) => {
      made += 1;
      return decode(...range);
    });
    for (let i = 0; i < 3; i += 1) expect(texts.text(Buffer.from("xx/usr/bin"), 2, 10)).toBe("/usr/bin");
    expect(made).toBe(1);
  });

  test("are never another's, whatever shares their place", () => {
    const texts = new StringCache(2, decode);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(texts.text(bytes, 0, bytes.length)).toBe(decode(bytes, 0, bytes.length));
      }),
    );
  });
});

test("a process that shares its place with another is told again", () => {
  const users = new KnownUsers();
  expect(users.update(1, 0, 0)).toBe(true);
  expect(users.update(1 + 4096, 5, 5)).toBe(true);
  expect(users.update(1, 0, 0)).toBe(true);
  expect(users.update(1, 0, 0)).toBe(false);
});

describe("an environment", () => {
  const names = ["LD_PRELOAD", "BASH_ENV", "ENV"];
  const reading = () => new Decoder({ audit: true, cgroups: true, environmentNames: names });
  const environmentOf = (environment: readonly string[]) => [
    ...(decodeExec({ executable: "/x", environment }, reading()).facts.environment ?? []),
  ];

  test("gives the variables that were asked for, and null for those that are not set", () => {
    expect(environmentOf(["HOME=/root", "LD_PRELOAD=/tmp/x=1.so", "BASH_ENV=", "PATH=/bin"])).toEqual([
      ["LD_PRELOAD", "/tmp/x=1.so"],
      ["BASH_ENV", ""],
      ["ENV", null],
    ]);
  });

  test("has a name only where it is the whole name", () => {
    const none: [string, null][] = names.map((name) => [name, null]);
    expect(environmentOf(["LD_PRELOADED=1", "XLD_PRELOAD=1", "LD_PRELOAD", "ld_preload=1", "=", ""])).toEqual(
      none,
    );
    expect(environmentOf([])).toEqual(none);
  });

  test("with a name twice has both values, because programs differ in which of them they take", () => {
    expect(environmentOf(["ENV=", "LD_PRELOAD=", "LD_PRELOAD=/tmp/x.so", "ENV=/a", "ENV=/b"])).toEqual([
      ["LD_PRELOAD", ":/tmp/x.so"],
      ["BASH_ENV", null],
      ["ENV", ":/a:/b"],
    ]);
  });

  test("that was not asked for is not known, nor is whether it could have been read", () => {
    const { facts } = decodeExec({ executable: "/x" }, reading());
    expect([facts.environment, facts.environmentTruncated]).toEqual([undefined, undefined]);
  });

  test("that was too large leaves every variable unknown, and says so", () => {
    const { facts } = decodeExec({ executable: "/x", flags: recordFlags.environmentUnread }, reading());
    expect([facts.environment, facts.environmentTruncated]).toEqual([undefined, true]);
  });

  test("is wiped where it lay, with the secrets that nobody asked for", () => {
    const bytes = execRecord({ executable: "/x", cwd: "/srv", environment: ["TOKEN=hunter2", "ENV=/a"] });
    decodeWith(reading(), bytes);
    const text = Buffer.from(bytes).toString("latin1");
    expect(text).toContain("srv");
    expect(text).not.toMatch(/TOKEN|hunter2|ENV/);
  });
});

test("an executable is the host's own only if root owns it and nobody else can write it", () => {
  const isTrusted = (owner: number, mode: number) =>
    decodeExec({ executable: "/x", words: { [execLayout.owner]: owner, [execLayout.mode]: mode } }).facts
      .executableTrusted;
  expect(isTrusted(0, 0o100755)).toBe(true);
  expect(isTrusted(0, 0o104755)).toBe(true);
  expect(isTrusted(1000, 0o100755)).toBe(false);
  expect(isTrusted(0, 0o100775)).toBe(false);
  expect(isTrusted(0, 0o100757)).toBe(false);
});
