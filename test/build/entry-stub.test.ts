// The code that the build adds to the executable, on a tiny executable that prints its environment.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addEntryStub } from "../../build/entry-stub.ts";

interface Processor {
  readonly name: string;
  /** elf.h: EM_* */
  readonly machine: number;
  /** Prints each variable and a newline by write(2), then calls exit(0). Assembled by as(1) and llvm-mc(1). */
  readonly printEnvironment: string;
  /** What runs it here; undefined if nothing does. */
  readonly runner: readonly string[] | undefined;
}

const emulator = Bun.which("qemu-aarch64-static");

const processors: readonly Processor[] = [
  {
    name: "x86-64",
    machine: 62,
    printEnvironment:
      "488b04244c8d64c410498b34244983c4084885f6742031d2803c16007404ffc2ebf6c604160affc2bf01000000" +
      "b8010000000f05ebd331ffb83c0000000f05",
    runner: process.arch === "x64" ? [] : undefined,
  },
  {
    name: "arm64",
    machine: 183,
    printEnvironment:
      "e90340f9f3030091730e098b73420091618640f8a10100b4020080d2236862386300003442040091fdffff17430180522368223842040091" +
      "200080d2080880d2010000d4f3ffff17000080d2a80b80d2010000d4",
    runner: process.arch === "arm64" ? [] : emulator === null ? undefined : [emulator],
  },
];

const HEADERS = 64 + 3 * 56;
const ADDRESS = 0x40_0000;

/** An executable of one segment that is the whole file, behind the header of a note and before one of the stack. */
function executable({ machine, printEnvironment }: Processor): Uint8Array {
  const code = Uint8Array.fromHex(printEnvironment);
  const file = new Uint8Array(HEADERS + code.length);
  file.set(code, HEADERS);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(file.buffer);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(ADDRESS + HEADERS), true);
  view.setBigUint64(32, 64n, true);
  for (const [i, value] of [64, 56, 3].entries()) view.setUint16(52 + i * 2, value, true);
  const header = (i: number, type: number, flags: number, values: readonly number[]): void => {
    view.setUint32(64 + i * 56, type, true);
    view.setUint32(68 + i * 56, flags, true);
    for (const [j, value] of values.entries()) view.setBigUint64(72 + i * 56 + j * 8, BigInt(value), true);
  };
  header(0, 4, 4, [64, ADDRESS + 64, ADDRESS + 64, 4, 4, 4]);
  header(1, 1, 5, [0, ADDRESS, ADDRESS, file.length, file.length, 0x1_0000]);
  // PT_GNU_STACK
  header(2, 0x6474_e551, 6, [0, 0, 0, 0, 0, 16]);
  return file;
}

const kept = ["BUN_JSC_useFTLJIT=0", "BUN_JSC_largeHeapSize=1048576"];

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "entry-stub-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const processor of processors) {
  const { name, runner } = processor;
  const file = addEntryStub(executable(processor), kept);

  /** The environment that the program finds, when it is started with `variables`. */
  function environmentOf(variables: Record<string, string>): readonly string[] {
    const path = join(folder, name);
    writeFileSync(path, file);
    chmodSync(path, 0o755);
    const run = Bun.spawnSync([...(runner ?? []), path], { env: variables });
    expect(run.exitCode).toBe(0);
    return run.stdout.toString().split("\n").slice(0, -1);
  }

  describe.skipIf(runner === undefined)(`an executable for ${name}`, () => {
    test("finds no variable of the runtime in its environment", () => {
      const variables = {
        BUN_OPTIONS: "--preload x.js",
        BUN_BE_BUN: "1",
        JSC_useJIT: "0",
        NODE_OPTIONS: "x",
      };
      const found = environmentOf({ ...variables, NODE: "1", BUN_: "", PATH: "/bin" });
      expect(found.filter((line) => /^(?:BUN_|JSC_|NODE)/.test(line))).toEqual([]);
      expect(found).toContain("PATH=/bin");
      expect(found).toContain("_UN_OPTIONS=--preload x.js");
      expect(found.length).toBe(7);
    });

    test("finds treewarden's own options with exactly their values", () => {
      const own = { BUN_JSC_useFTLJIT: "0", BUN_JSC_largeHeapSize: "1048576" };
      expect(environmentOf(own).toSorted()).toEqual(kept.toSorted());
    });

    test("finds none of these options with another value, with more, with less, or under a longer name", () => {
      for (const variable of [
        { BUN_JSC_useFTLJIT: "1" },
        { BUN_JSC_useFTLJIT: "" },
        { BUN_JSC_useFTLJIT: "00" },
        { BUN_JSC_largeHeapSize: "104857" },
        { BUN_JSC_largeHeapSize: "10485760" },
        { BUN_JSC_useFTLJITx: "0" },
      ])
        expect(environmentOf(variable).filter((line) => line.startsWith("BUN_"))).toEqual([]);
    });

    test("keeps everything else: short names, empty values, and names that only contain a prefix", () => {
      const others = { A: "", BUN: "1", JSC: "2", NOD: "3", XBUN_OPTIONS: "4", bun_options: "5", N: "" };
      const lines = Object.entries(others).map(([key, value]) => `${key}=${value}`);
      expect(environmentOf(others).toSorted()).toEqual(lines.toSorted());
    });

    test("starts without any variable", () => {
      expect(environmentOf({})).toEqual([]);
    });
  });

  test(`the code for ${name} is in a segment above all others, and nothing of the rest moves`, () => {
    const before = executable(processor);
    const view = new DataView(file.buffer);
    // The loaded segments in the order of their addresses, then what followed the note.
    expect([0, 1, 2].map((i) => view.getUint32(64 + i * 56, true))).toEqual([1, 1, 0x6474_e551]);
    const entry = view.getBigUint64(24, true);
    expect(entry).toBe(view.getBigUint64(64 + 56 + 16, true));
    expect(entry).toBeGreaterThan(BigInt(ADDRESS + before.length));
    expect(view.getUint32(64 + 56 + 4, true)).toBe(5);
    expect(file.slice(HEADERS, before.length)).toEqual(before.slice(HEADERS));
  });

  test(`the code for ${name} depends on the file and the options alone`, () => {
    expect(addEntryStub(executable(processor), kept)).toEqual(file);
  });
}

test("a file that is no executable for a known processor is an error of the build", () => {
  const [first] = processors;
  if (first === undefined) throw new Error("no processor");
  expect(() => addEntryStub(new Uint8Array(200), kept)).toThrow("not an ELF file");
  expect(() => addEntryStub(executable({ ...first, machine: 8 }), kept)).toThrow("another processor");
});
