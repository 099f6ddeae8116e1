import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ExaminerClient, type ExaminerListener } from "../../src/examiner/client.ts";
import {
  decodeExaminerRequest,
  type ExaminerMessage,
  type ExaminerRequest,
  encodeExaminerMessage,
} from "../../src/examiner/protocol.ts";
import type { BaseSystem } from "../../src/fingerprint/base.ts";
import type { ExaminedFile } from "../../src/fingerprint/examined-file.ts";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { receivePacket, sendPacket, socketPair } from "../../src/linux/socketpair.ts";
import type { ProcessFacts } from "../../src/sensor/event.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";

const WALL = 2_000_000_000_000;
/** Seconds since the epoch. */
const CHANGED = 1_900_000_000;

/** A warden's side, and an examiner played by the test. */
class Rig implements Disposable {
  examination: ExaminerClient;
  readonly bases: BaseSystem[] = [];
  readonly heard: [string, ExaminedFile][] = [];
  readonly changes: string[] = [];
  readonly contents: (string | undefined)[] = [];
  readonly files: string[] = [];
  /** ns, CLOCK_MONOTONIC */
  now = 100e9;
  private ends = socketPair(1 << 16);
  private readonly buffer = new Uint8Array(1 << 16);

  constructor() {
    this.examination = this.wardenOf(7);
  }

  /** The next warden, on the same socket. */
  replaceWarden(generation: number): void {
    this.examination = this.wardenOf(generation);
  }

  private wardenOf(generation: number): ExaminerClient {
    const listener: ExaminerListener = {
      base: (base) => this.bases.push(base),
      examined: (path, examined) => this.heard.push([path, examined]),
      changed: (what) => this.changes.push(what),
      content: (_, content) => this.contents.push(content?.digest),
      opened: (_, files) => this.files.push(...files.map(({ path }) => path)),
      listed: (patterns) => this.files.push(...patterns.flatMap(({ paths }) => paths ?? [])),
    };
    return new ExaminerClient(this.ends[0], generation, listener, () => this.now);
  }

  asked(): ExaminerRequest[] {
    const all: ExaminerRequest[] = [];
    for (;;) {
      const length = receivePacket(this.ends[1], this.buffer);
      if (length <= 0) return all;
      const asked = decodeExaminerRequest(this.buffer.subarray(0, length));
      if (asked !== undefined) all.push(asked);
    }
  }

  says(...told: readonly (ExaminerMessage | Uint8Array)[]): void {
    for (const one of told)
      sendPacket(this.ends[1], one instanceof Uint8Array ? one : encodeExaminerMessage(one));
    this.examination.receive();
  }

  /** Another socket pair, on which a new examiner was started; the old one is gone. */
  replaceLink(): void {
    for (const end of this.ends) closeDescriptor(end);
    this.ends = socketPair(1 << 16);
    this.examination.connect(this.ends[0]);
  }

  /** As a process that has the examiner's descriptor can do. */
  shutDown(): void {
    const script = "import socket; socket.socket(fileno=3).shutdown(socket.SHUT_WR)";
    Bun.spawnSync(["/usr/bin/python3", "-c", script], {
      stdio: ["ignore", "inherit", "inherit", this.ends[1]],
    });
  }

  [Symbol.dispose](): void {
    for (const end of this.ends) closeDescriptor(end);
  }
}

function facts(executable: string, rest: Partial<ProcessFacts> = {}): ProcessFacts {
  return {
    ...factsFromEvents(nothingKnown),
    executable,
    executableDeleted: false,
    executableMemfd: false,
    executableAge: WALL / 1000 - CHANGED,
    device: 1,
    inode: 2,
    ...rest,
  };
}

const question = { path: "/usr/bin/x", device: 1, inode: 2 };
const answer: ExaminerMessage = {
  type: "answer",
  ...question,
  changed: CHANGED,
  package: "x",
  unpackaged: false,
  modified: false,
  final: true,
};

describe("a file", () => {
  test("is asked for once, and is known after the answer", () => {
    using rig = new Rig();
    for (let i = 0; i < 5; i++) expect(rig.examination.lookup(facts("/usr/bin/x"), WALL)).toBeUndefined();
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }, question]);
    rig.says(answer);
    expect(rig.examination.lookup(facts("/usr/bin/x"), WALL)).toEqual({
      package: "x",
      unpackaged: false,
      modified: false,
    });
    expect(rig.asked()).toEqual([]);
  });

  test("that the examiner has sent in advance is known at its first exec", () => {
    using rig = new Rig();
    rig.says(answer);
    expect(rig.examination.lookup(facts("/usr/bin/x"), WALL)?.package).toBe("x");
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }]);
  });

  test("with another ctime, inode or device is asked for again", () => {
    using rig = new Rig();
    rig.says(answer);
    rig.asked();
    const lookup = (one: ProcessFacts) => rig.examination.lookup(one, WALL);
    expect(lookup(facts("/usr/bin/x", { executableAge: 60 }))).toBeUndefined();
    expect(lookup(facts("/usr/bin/x", { inode: 3 }))).toBeUndefined();
    expect(lookup(facts("/usr/bin/x", { device: 3 }))).toBeUndefined();
    expect(rig.asked()).toHaveLength(3);
  });

  test("is not asked for if it is deleted, in memory or incompletely known", () => {
    using rig = new Rig();
    rig.asked();
    for (const rest of [
      { executableDeleted: true },
      { executableMemfd: true },
      { executableAge: undefined },
      { inode: undefined },
      { executable: `/${"x/".repeat(1000)}` },
      { executable: "memfd:x" },
    ])
      expect(rig.examination.lookup(facts("/usr/bin/x", rest), WALL)).toBeUndefined();
    expect(rig.asked()).toEqual([]);
  });
});

describe("a digest", () => {
  const digest = `sha256:${"0".repeat(64)}`;

  test("is asked for once, also if the rest is known already", () => {
    using rig = new Rig();
    rig.says(answer);
    rig.asked();
    for (let i = 0; i < 3; i++)
      expect(rig.examination.lookup(facts("/usr/bin/x"), WALL, true)?.package).toBe("x");
    expect(rig.asked()).toEqual([{ ...question, digest: true }]);
    rig.says(answer, { ...answer, digest });
    expect(rig.heard.at(-1)).toEqual([
      "/usr/bin/x",
      { package: "x", unpackaged: false, modified: false, digest },
    ]);
  });

  test("is asked for again when the file is replaced", () => {
    using rig = new Rig();
    rig.examination.lookup(facts("/usr/bin/x"), WALL, true);
    rig.says({ ...answer, digest });
    rig.says({ type: "packages", state: "before" }, { type: "packages", state: "after" });
    rig.asked();
    rig.examination.lookup(facts("/usr/bin/x", { executableAge: 60 }), WALL);
    expect(rig.asked()).toEqual([{ ...question, digest: true }]);
  });

  test("at which two examiners have ended is not asked for again", () => {
    using rig = new Rig();
    rig.examination.lookup(facts("/usr/bin/x"), WALL, true);
    rig.says(answer, { type: "ready" }, answer, { type: "ready" });
    expect(rig.asked().filter((one) => "digest" in one)).toHaveLength(2);
  });

  test("is asked for later if the socket is full", () => {
    using rig = new Rig();
    const count = 3000;
    for (let i = 0; i < count; i++) rig.examination.lookup(facts(`/usr/bin/${i}`), WALL, true);
    const asked = new Set<string>();
    for (let round = 0; round < count && asked.size < count; round++) {
      for (const one of rig.asked()) if ("path" in one) asked.add(one.path);
      rig.says(answer);
    }
    expect(asked.size).toBe(count);
  });
});

describe("a restarted examiner", () => {
  test("gets the unanswered questions again, but each file at most twice", () => {
    using rig = new Rig();
    rig.examination.lookup(facts("/usr/bin/x"), WALL);
    rig.asked();
    rig.says({ type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }, question]);
    rig.says({ type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }]);
  });

  test("is asked again a minute later about a file at which two have ended: another one may have been the cause", () => {
    using rig = new Rig();
    rig.examination.lookup(facts("/usr/bin/x"), WALL);
    rig.says({ type: "ready" }, { type: "ready" });
    rig.asked();
    rig.now += 59e9;
    rig.examination.lookup(facts("/usr/bin/x"), WALL);
    expect(rig.asked()).toEqual([]);
    rig.now += 1e9;
    rig.examination.lookup(facts("/usr/bin/x"), WALL);
    rig.examination.lookup(facts("/usr/bin/x"), WALL);
    expect(rig.asked()).toEqual([question]);
    rig.says({ type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }]);
  });

  test("is sent the state of the packages that this warden knows", () => {
    using rig = new Rig();
    rig.asked();
    rig.says({ type: "packages", state: "these" }, { type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7, packages: "these" }]);
  });

  test("is not asked again what has waited since the previous one went idle", () => {
    using rig = new Rig();
    rig.says({ type: "asleep" });
    rig.examination.lookup(facts("/usr/bin/x"), WALL);
    rig.asked();
    rig.says({ type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }]);
    rig.says({ type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }, question]);
  });
});

test("only a different answer counts as a change, not a first or an equal one", () => {
  using rig = new Rig();
  rig.says({ type: "packages", state: "before" }, answer, answer, { type: "packages", state: "before" });
  expect(rig.changes).toEqual([]);
  rig.says({ type: "packages", state: "after" });
  expect(rig.changes).toEqual(["packages"]);
  rig.says(answer);
  expect(rig.changes).toEqual(["packages"]);
  rig.says({ ...answer, modified: true });
  expect(rig.changes).toEqual(["packages", "packages"]);
});

test("when packages change every file is asked for again, and its old answer is used until then", () => {
  using rig = new Rig();
  rig.says({ type: "packages", state: "before" }, answer, { type: "packages", state: "before" });
  rig.asked();
  rig.examination.lookup(facts("/usr/bin/x"), WALL);
  expect(rig.asked()).toEqual([]);
  rig.says({ type: "packages", state: "after" });
  expect(rig.examination.lookup(facts("/usr/bin/x"), WALL)?.modified).toBe(false);
  expect(rig.asked()).toEqual([question]);
  rig.says({ ...answer, modified: true });
  expect(rig.examination.lookup(facts("/usr/bin/x"), WALL)?.modified).toBe(true);
});

describe("the base system", () => {
  test("arrives in parts and is used when it is complete", () => {
    using rig = new Rig();
    rig.says({ type: "base", files: [["/usr/bin/a", "a, required"]], first: true, last: false });
    expect(rig.bases).toEqual([]);
    rig.says({ type: "base", files: [["/usr/bin/b", "b, required"]], first: false, last: true });
    expect([...(rig.bases[0]?.files.keys() ?? [])]).toEqual(["/usr/bin/a", "/usr/bin/b"]);
  });

  test("is discarded if the examiner dies before the last part", () => {
    using rig = new Rig();
    rig.says({ type: "base", files: [["/usr/bin/a", "a"]], first: true, last: false }, { type: "ready" });
    rig.says({ type: "base", files: [["/usr/bin/b", "b"]], first: false, last: true });
    expect(rig.bases).toEqual([]);
  });
});

describe("a compromised examiner", () => {
  test("may send any bytes", () => {
    using rig = new Rig();
    const text = fc.json().map((json) => new TextEncoder().encode(json));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 200 }), text), (bytes) => {
        rig.says(bytes);
        expect(rig.examination.lookup(facts("/usr/bin/x"), WALL)).toBeUndefined();
      }),
    );
    expect(rig.bases).toEqual([]);
  });

  test("cannot make the warden's memory grow", () => {
    using rig = new Rig();
    for (let i = 0; i < 20_000; i++) rig.says({ ...answer, inode: i });
    expect(rig.examination.size).toBe(8192);
  });
});

test("a full socket never blocks the warden: the next exec asks again", () => {
  using rig = new Rig();
  let i = 0;
  for (; i < 5000; i++) rig.examination.lookup(facts(`/usr/bin/x${i}`, { inode: i }), WALL);
  expect(rig.examination.size).toBeLessThan(5000);
  rig.asked();
  rig.examination.lookup(facts("/usr/bin/x4999", { inode: 4999 }), WALL);
  expect(rig.asked()).toEqual([{ path: "/usr/bin/x4999", device: 1, inode: 4999 }]);
});

test("a socket that was shut down is given up, and on the next one the unanswered questions are asked again", () => {
  using rig = new Rig();
  rig.examination.lookup(facts("/usr/bin/x"), WALL);
  expect(rig.examination.receive()).toBe(true);
  rig.shutDown();
  expect(rig.examination.receive()).toBe(false);
  rig.replaceLink();
  rig.says({ type: "ready" });
  expect(rig.asked()).toContainEqual(question);
  expect(rig.examination.receive()).toBe(true);
});

test("an answer to the previous warden's question is not one to its successor's", () => {
  using rig = new Rig();
  rig.examination.contents.ask("/a", undefined, []);
  rig.replaceWarden(8);
  rig.examination.contents.ask("/b", undefined, []);
  const [first, second] = rig.asked().filter((asked) => "type" in asked && asked.type === "content");
  const contentOf = (asked: ExaminerRequest | undefined, digit: string): ExaminerMessage => {
    if (asked === undefined || !("type" in asked) || asked.type !== "content") throw new Error("not asked");
    return { type: "content", id: asked.id, digest: `sha256:${digit.repeat(64)}`, packaged: false };
  };
  rig.says(contentOf(first, "a"), contentOf(second, "b"));
  expect(rig.contents).toEqual([`sha256:${"b".repeat(64)}`]);
});

test("a second answer to a question is left out, and files that were opened for it are released", () => {
  using rig = new Rig();
  const { opened, listed } = rig.examination;
  opened.ask(["/usr/bin/tool"]);
  listed.ask(["/usr/bin/tool"]);
  const answers = rig.asked().flatMap((asked): ExaminerMessage[] => {
    if ("type" in asked && asked.type === "open") {
      const files = asked.paths.map((path) => ({ path, is: "none" as const }));
      return [{ type: "opened", id: asked.id, pid: 1, files }];
    }
    if (!("type" in asked) || asked.type !== "list") return [];
    const patterns = asked.patterns.map((pattern) => ({ pattern, paths: [`${pattern}-1.2`] }));
    return [{ type: "listed", id: asked.id, patterns }];
  });
  rig.says(...answers, ...answers);
  expect(rig.files).toEqual(["/usr/bin/tool", "/usr/bin/tool-1.2"]);
  const released = rig.asked().filter((asked) => "type" in asked && asked.type === "release");
  expect(released).toHaveLength(2);
});
