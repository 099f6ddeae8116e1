// What is read of a process before it is killed. The lines of maps were taken on Linux 6.18.
import { afterAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { mappedFiles, namesOf, readEvidence } from "../../src/examiner/evidence.ts";
import { MemoryReads } from "../../src/examiner/memory-reads.ts";
import {
  decodeExaminerMessage,
  type EvidenceFile,
  EXAMINE_PACKET,
  encodeExaminerMessage,
} from "../../src/examiner/protocol.ts";
import { createSealedFile } from "../../src/linux/memfd.ts";
import { emptyPipe } from "../linux/empty-pipe.ts";

test("of an environment only the names are read, each once, and never a value", () => {
  expect(namesOf("PATH=/bin\0TOKEN=secret=x\0=odd\0noequals\0PATH=/sbin\0")).toEqual(["PATH", "TOKEN"]);
  const text = fc.string({ unit: fc.constantFrom("A", "=", "\0", "s"), maxLength: 60 });
  fc.assert(
    fc.property(text, (environ) => namesOf(environ).every((name) => name !== "" && !/[=\0]/.test(name))),
  );
});

test("of the maps each file is named once, code is marked, and code in no file is counted", () => {
  const maps = [
    "55d0c8a00000-55d0c8a02000 r--p 00000000 fd:00 1311 /usr/bin/sleep",
    "55d0c8a02000-55d0c8a06000 r-xp 00002000 fd:00 1311 /usr/bin/sleep",
    "7f2a1c000000-7f2a1c021000 rwxp 00000000 00:00 0 ",
    "7f2a1c200000-7f2a1c300000 r--p 00000000 fd:00 77 /tmp/a b (deleted)",
    "7ffd0f7d9000-7ffd0f7fa000 rw-p 00000000 00:00 0                          [stack]",
    "",
  ].join("\n");
  expect(mappedFiles(maps)).toEqual(["x anonymous (1)", "x /usr/bin/sleep", "- /tmp/a b (deleted)"]);
  fc.assert(fc.property(fc.string(), (any) => Array.isArray(mappedFiles(any))));
});

test("what cannot be read is absent, and what was read of this process fits into a packet", () => {
  expect(readEvidence(new Map(), [4711], new MemoryReads())).toEqual({ sockets: [] });
  const files = new Map<EvidenceFile, number>();
  for (const name of ["environ", "maps"] as const) files.set(name, openSync(`/proc/self/${name}`, "r"));
  try {
    const facts = readEvidence(files, [], new MemoryReads());
    expect(facts.maps?.some((path) => path.startsWith("x /"))).toBe(true);
    const packet = encodeExaminerMessage({ type: "evidence", id: 1, ...facts });
    expect(packet.length).toBeLessThan(EXAMINE_PACKET);
    expect(decodeExaminerMessage(packet)).toEqual({ type: "evidence", id: 1, ...facts });
  } finally {
    for (const fd of files.values()) closeSync(fd);
  }
});

test("a process that keeps whoever reads its memory waiting delays its evidence only, and hides nothing else", () => {
  const pipe = emptyPipe();
  const memory = new MemoryReads(20e6);
  const [digest, others] = [openSync("/bin/sh", 0o10000000), openSync("/proc/self/environ", "r")];
  try {
    const begin = performance.now();
    const hostile = new Map<EvidenceFile, number>([
      ["executable", digest],
      ["environ", pipe.reader],
      ["maps", pipe.reader],
    ]);
    const facts = readEvidence(hostile, [], memory);
    expect(performance.now() - begin).toBeLessThan(2_000);
    expect(facts.digest).toStartWith("sha256:");
    expect(Object.keys(facts)).not.toContain("maps");
    expect(Object.keys(facts)).not.toContain("environmentNames");
    expect(readEvidence(new Map([["environ", others]]), [], memory).environmentNames).toContain("PATH");
  } finally {
    for (const fd of [digest, others, pipe.writer, pipe.reader]) closeSync(fd);
  }
});

test("however many of them there are, only so many threads wait for them", () => {
  const pipe = emptyPipe();
  const memory = new MemoryReads(1e6);
  try {
    for (let i = 0; i < 30; i += 1) expect(memory.read(pipe.reader, 16)).toBeUndefined();
    expect(readdirSync("/proc/self/fd").length).toBeLessThan(200);
    const begin = performance.now();
    expect(memory.read(pipe.reader, 16)).toBeUndefined();
    expect(performance.now() - begin).toBeLessThan(1);
  } finally {
    for (const fd of [pipe.writer, pipe.reader]) closeSync(fd);
  }
});

describe("a copy of the executable", () => {
  const folder = mkdtempSync(join(tmpdir(), "tw-copy-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const O_PATH = 0o10000000;
  const content = Buffer.alloc(600_000, "treewarden");
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;

  /** What is read of an executable with this content, and what its copy has. */
  function copied(bytes: Uint8Array, limit: number, before: (path: string) => void = () => undefined) {
    const [path, copy] = [join(folder, "program"), join(folder, "copy")];
    writeFileSync(path, bytes);
    writeFileSync(copy, "");
    const executable = openSync(path, O_PATH);
    const target = openSync(copy, "r+");
    try {
      before(path);
      const files = new Map<EvidenceFile, number>([
        ["executable", executable],
        ["copy", target],
      ]);
      return { facts: readEvidence(files, [], new MemoryReads(), limit), copy: readFileSync(copy) };
    } finally {
      closeSync(executable);
      closeSync(target);
    }
  }

  test("has every byte, also of a file that was deleted, and its digest", () => {
    const { facts, copy } = copied(content, 1e6, unlinkSync);
    expect(facts).toEqual({ sockets: [], digest, size: content.length, isCopied: true });
    expect(copy.equals(content)).toBe(true);
  });

  test("is made of a memfd too", () => {
    const memory = createSealedFile("program", "text");
    const executable = openSync(`/proc/self/fd/${memory}`, O_PATH);
    const copy = join(folder, "of-memory");
    const target = openSync(copy, "w");
    try {
      const files = new Map<EvidenceFile, number>([
        ["executable", executable],
        ["copy", target],
      ]);
      expect(readEvidence(files, [], new MemoryReads(), 1_000)).toMatchObject({ isCopied: true, size: 4 });
      expect(readFileSync(copy, "utf8")).toBe("text");
    } finally {
      for (const fd of [memory, executable, target]) closeSync(fd);
    }
  });

  test("is not made of a larger file, which still has a digest", () => {
    const { facts, copy } = copied(content, content.length - 1);
    expect(facts).toEqual({ sockets: [], digest, size: content.length });
    expect(copy.length).toBe(0);
  });

  test("of any content has the digest of that content", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        const { facts, copy } = copied(bytes, 1_000);
        const isCopied = bytes.length <= 1_000;
        expect(facts.isCopied ?? false).toBe(isCopied);
        expect(copy.equals(isCopied ? bytes : new Uint8Array())).toBe(true);
        expect(facts.digest).toBe(`sha256:${createHash("sha256").update(bytes).digest("hex")}`);
      }),
      { numRuns: 50 },
    );
  });
});
