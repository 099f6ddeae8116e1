import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ExaminerClient } from "../../src/examiner/client.ts";
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
  readonly examination: ExaminerClient;
  readonly bases: BaseSystem[] = [];
  readonly heard: [string, ExaminedFile][] = [];
  readonly changes: string[] = [];
  private readonly ends = socketPair(1 << 16);
  private readonly buffer = new Uint8Array(1 << 16);

  constructor() {
    this.examination = new ExaminerClient(this.ends[0], 7, {
      base: (base) => this.bases.push(base),
      examined: (path, examined) => this.heard.push([path, examined]),
      changed: (what) => this.changes.push(what),
    });
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
  test("is asked for once, and known from the answer on", () => {
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

  test("that the examiner has told of by itself is known at its first exec", () => {
    using rig = new Rig();
    rig.says(answer);
    expect(rig.examination.lookup(facts("/usr/bin/x"), WALL)?.package).toBe("x");
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }]);
  });

  test("with another ctime, inode or device is another one", () => {
    using rig = new Rig();
    rig.says(answer);
    rig.asked();
    const lookup = (one: ProcessFacts) => rig.examination.lookup(one, WALL);
    expect(lookup(facts("/usr/bin/x", { executableAge: 60 }))).toBeUndefined();
    expect(lookup(facts("/usr/bin/x", { inode: 3 }))).toBeUndefined();
    expect(lookup(facts("/usr/bin/x", { device: 3 }))).toBeUndefined();
    expect(rig.asked()).toHaveLength(3);
  });

  test("is not asked for if it is gone, in memory or not well known", () => {
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

  test("is asked for beside what is known already, once, and told", () => {
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

  test("is asked for again of what takes the file's place", () => {
    using rig = new Rig();
    rig.examination.lookup(facts("/usr/bin/x"), WALL, true);
    rig.says({ ...answer, digest });
    rig.says({ type: "packages", state: "before" }, { type: "packages", state: "after" });
    rig.asked();
    rig.examination.lookup(facts("/usr/bin/x", { executableAge: 60 }), WALL);
    expect(rig.asked()).toEqual([{ ...question, digest: true }]);
  });

  test("that ended two examiners is not asked for again", () => {
    using rig = new Rig();
    rig.examination.lookup(facts("/usr/bin/x"), WALL, true);
    rig.says(answer, { type: "ready" }, answer, { type: "ready" });
    expect(rig.asked().filter((one) => "digest" in one)).toHaveLength(2);
  });

  test("for which there is no room now is asked for when there is", () => {
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

describe("another examiner", () => {
  test("is asked again what the one before it did not answer, but a file is given up after two", () => {
    using rig = new Rig();
    rig.examination.lookup(facts("/usr/bin/x"), WALL);
    rig.asked();
    rig.says({ type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }, question]);
    rig.says({ type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7 }]);
  });

  test("hears what this warden was told of packages", () => {
    using rig = new Rig();
    rig.asked();
    rig.says({ type: "packages", state: "these" }, { type: "ready" });
    expect(rig.asked()).toEqual([{ type: "begin", generation: 7, packages: "these" }]);
  });

  test("is not asked again what waits for it since the one before it fell asleep", () => {
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

test("what changes answers that were given is a change, a first answer and one that is the same are none", () => {
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

test("when packages change every file is asked for again, and the old answer holds until then", () => {
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
  test("comes in parts, and counts when it is whole", () => {
    using rig = new Rig();
    rig.says({ type: "base", files: [["/usr/bin/a", "a, required"]], first: true, last: false });
    expect(rig.bases).toEqual([]);
    rig.says({ type: "base", files: [["/usr/bin/b", "b, required"]], first: false, last: true });
    expect([...(rig.bases[0]?.files.keys() ?? [])]).toEqual(["/usr/bin/a", "/usr/bin/b"]);
  });

  test("of an examiner that died in the middle is forgotten", () => {
    using rig = new Rig();
    rig.says({ type: "base", files: [["/usr/bin/a", "a"]], first: true, last: false }, { type: "ready" });
    rig.says({ type: "base", files: [["/usr/bin/b", "b"]], first: false, last: true });
    expect(rig.bases).toEqual([]);
  });
});

describe("an examiner that was taken over", () => {
  test("may say anything", () => {
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

test("nobody waits for an examiner that takes no questions: what had no room is asked for at the next exec", () => {
  using rig = new Rig();
  let i = 0;
  for (; i < 5000; i++) rig.examination.lookup(facts(`/usr/bin/x${i}`, { inode: i }), WALL);
  expect(rig.examination.size).toBeLessThan(5000);
  rig.asked();
  rig.examination.lookup(facts("/usr/bin/x4999", { inode: 4999 }), WALL);
  expect(rig.asked()).toEqual([{ path: "/usr/bin/x4999", device: 1, inode: 4999 }]);
});
